"""A voice against its baseline: how prior, room and speaker share in it, and what a conversation makes of it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from emotrack.models.baseline import MAX_SPEAKERS, Baseline, VoiceSums
from emotrack.models.baseline_head import ENOUGH, BaselineHead
from emotrack.models.care import SpeechFeatures
from emotrack.models.config import BaselineHeadConfig
from emotrack.models.context import SnapshotError
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.labels import affect_of
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from tests.models.conftest import tiny_network, tiny_tokenizer

VOICE, LABELS = 4, 7


@pytest.fixture
def head() -> BaselineHead:
    torch.manual_seed(0)
    return BaselineHead(10, LABELS, BaselineHeadConfig(VOICE, room=2.0, speaker=3.0)).eval()


@pytest.fixture
def network() -> EmotionNetwork:
    torch.manual_seed(0)
    config = tiny_network().config
    network = EmotionNetwork(
        replace(config, speech_head=BaselineHeadConfig(VOICE, variety=0.1, likeness=0.5)), tiny_tokenizer()
    )
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return network.requires_grad_(False).eval()


def voice(seed: int, evidence: float = 1.0) -> torch.Tensor:
    told = torch.randn(VOICE, generator=torch.Generator().manual_seed(seed))
    return torch.cat([told, torch.tensor([evidence])])


def turns_of(speakers: str) -> list[TurnEmbedding]:
    """A letter a turn, "-" where nobody knows."""
    return [TurnEmbedding(voice(place), None, None if name == "-" else name) for place, name in enumerate(speakers)]


def heard(turns: int, value: float, label: int | None = None) -> VoiceSums:
    """Of so many turns, all of this value; all sounded like one label, or like each alike."""
    voices = torch.full((1, VOICE), value)
    believed = torch.full((1, LABELS), turns / LABELS)
    if label is not None:
        believed = turns * torch.eye(LABELS)[[label]]
    total = believed.unsqueeze(-1) * voices.unsqueeze(-2)  # (1, C, V)
    return VoiceSums(torch.tensor([float(turns)]), total, turns * voices.square(), believed)


def test_a_voice_of_which_nothing_was_heard_is_what_it_is(head: BaselineHead) -> None:
    head.variance.data = torch.tensor([4.0, 1.0, 1.0, 0.25])
    voices = torch.full((1, VOICE), 2.0)
    torch.testing.assert_close(head.relative(voices, heard(0, 0.0), heard(0, 0.0)), voices)


def test_means_and_variances_are_shrunk_by_how_much_was_heard(head: BaselineHead) -> None:
    """Prior of mean 0 and variance 1; the room heard 2 turns at 3, worth as much; the speaker 3 turns at 5."""
    # Room: mean (2 * 0 + 2 * 3) / 4 = 1.5, variance (2 * 1 + 2 * 1.5 ** 2) / 4 = 1.625.
    # Speaker: mean (3 * 1.5 + 3 * 5) / 6 = 3.25, variance (3 * 1.625 + 3 * 1.75 ** 2) / 6 = 2.34375.
    voices = torch.full((1, VOICE), 5.0)
    found = head.relative(voices, heard(2, 3.0), heard(3, 5.0))
    torch.testing.assert_close(found, torch.full((1, VOICE), 1.75 / 2.34375**0.5))
    assert head.relative(voices, heard(2, 3.0), heard(10**6, 5.0)).abs().max() < 0.1


def test_the_relative_view_is_trusted_where_a_voice_was_varied(head: BaselineHead) -> None:
    most = head.config.trust
    assert float(head.trust(heard(9, 0.0, 3), heard(9, 0.0, 3))) < 0.02 * most  # angry from the first word to the last
    assert float(head.trust(heard(9, 0.0, 3), heard(9, 0.0))) > 0.9 * most
    assert float(head.trust(heard(9, 0.0), heard(0, 0.0))) > 0.9 * most  # nobody knows who speaks: the room's


def test_the_scores_are_the_views_weighed_by_trust(head: BaselineHead) -> None:
    voices, sums = voice(0).unsqueeze(0), heard(9, 1.0)
    told = voices[:, :-1]
    relative, none = head.relative(told, sums, sums), torch.zeros_like(told)
    alone, against = head(torch.cat([told, none], dim=1)), head(torch.cat([none, relative], dim=1))
    trust = float(head.trust(sums, sums))
    mixed = (1.0 - trust) * alone.log_softmax(dim=1) + trust * against.log_softmax(dim=1)
    torch.testing.assert_close(head(head.relate(voices, sums, sums)).log_softmax(dim=1), mixed.log_softmax(dim=1))


def test_networks_add_what_they_think_of_both_views_weighed_alike() -> None:
    torch.manual_seed(0)
    config = BaselineHeadConfig(VOICE, frames=30.0, networks=2, hidden=3)
    head = BaselineHead(10, LABELS, config).requires_grad_(False).eval()
    lines = BaselineHead(10, LABELS, BaselineHeadConfig(VOICE)).requires_grad_(False).eval()
    head.classify.weight.copy_(0.5 * torch.cat([lines.classify.weight, torch.eye(LABELS)], dim=1))
    head.classify.bias.copy_(0.5 * lines.classify.bias)
    voices, sums = voice(0, 0.5).unsqueeze(0), heard(9, 1.0)
    told, trust = voices[:, :-1], float(head.trust(sums, sums))
    views = 0.5 * told, 0.5 * head.relative(told, sums, sums)
    absolute, relative = (think(view) for think, view in zip(head.networks, views, strict=True))  # (1, C) each
    share = 0.5 / (ENOUGH / (ENOUGH + 30.0))  # of a long turn's evidence
    opinions = share * ((1.0 - trust) * absolute + trust * relative)
    mixed = 0.5 * lines(lines.relate(voices, sums, sums)) + 0.5 * opinions
    torch.testing.assert_close(head(head.relate(voices, sums, sums)), mixed)
    alone = 0.5 * lines(torch.cat([0.5 * told, torch.zeros_like(told)], dim=1)) + 0.5 * share * absolute
    torch.testing.assert_close(head.sounds(voices), alone.softmax(dim=1))


def test_what_networks_think_is_no_part_of_what_the_context_is_told(network: EmotionNetwork) -> None:
    config = BaselineHeadConfig(VOICE, networks=2, hidden=3)
    torch.manual_seed(0)
    other = EmotionNetwork(replace(network.config, speech_head=config), network.tokenizer).eval()
    turns = other.collate([turns_of("ABA")])
    thought = torch.cat([torch.zeros(2 * VOICE), torch.arange(float(LABELS))])  # (E,)
    before, after = other(turns), other(replace(turns, speech=turns.speech + thought))
    torch.testing.assert_close(after.states["speech"], before.states["speech"])
    assert not torch.allclose(after.speech, before.speech)


def test_a_short_turn_is_worth_less() -> None:
    head = BaselineHead(10, LABELS, BaselineHeadConfig(VOICE, frames=30.0))
    features = torch.randn(3, 1, 10, generator=torch.Generator().manual_seed(0))
    unknown = head.embed(SpeechFeatures(features, None))
    torch.testing.assert_close(unknown[:, -1], torch.ones(3))
    voices = head.embed(SpeechFeatures(features, None, torch.tensor([10, 30, 10**6])))
    torch.testing.assert_close(voices[:, -1], torch.tensor([0.25, 0.5, ENOUGH / (ENOUGH + 30.0)]))
    torch.testing.assert_close(voices[:, :-1], unknown[:, :-1])
    kept = head.note(voices)
    torch.testing.assert_close(kept.turns, voices[:, -1])
    torch.testing.assert_close(kept.total.sum(dim=1) / kept.turns[:, None], voices[:, :-1])
    torch.testing.assert_close(kept.total, kept.believed[:, :, None] * voices[:, None, :-1])
    torch.testing.assert_close(kept.believed.sum(dim=1), kept.turns)
    sums, whole = VoiceSums.stacked([heard(9, 1.0).rows()[0]] * 3), torch.ones(3, 1)
    as_long = head.relate(torch.cat([voices[:, :-1], whole], dim=1), sums, sums)
    torch.testing.assert_close(head.relate(voices, sums, sums), voices[:, -1:] * as_long)


def test_what_a_label_sounds_like_in_this_voice_counts() -> None:
    """Joy is typically at 1, anger at -1; this speaker's joy, in three turns that were believed, is at -1."""
    head = BaselineHead(10, 2, BaselineHeadConfig(1, likeness=0.5, typical=1.0, trust=1.0, variety=0.0, steepness=100))
    head.requires_grad_(False).eval()
    for parameter in head.classify.parameters():
        torch.nn.init.zeros_(parameter)
    head.prototypes.copy_(torch.tensor([[1.0], [-1.0]]))
    voices = torch.tensor([[-1.0, 1.0]])  # and its evidence
    others = VoiceSums(
        torch.tensor([4.0]), torch.tensor([[[-3.0], [1.0]]]), torch.tensor([4.0]), torch.tensor([[3.0, 1.0]])
    )
    sums = others + head.note(voices)
    # The baseline has a mean of -3/11 and less than the training voices' variance; (1 * 1 + 3 turns) / 4 is joy's.
    mean, gain = head._usual(sums, sums)
    relative = gain * (voices[:, :1] - mean)  # (1, 1)
    at = gain * (torch.tensor([[-1.0, 1.0]]) - mean)  # (1, 2) in the relative view
    moved = torch.tensor([[(1.0 + 3.0 * float(at[0, 0])) / 4.0, (-1.0 + float(at[0, 1])) / 2.0]])  # (1, 2)
    first = head.prototypes.T  # (1, 2)
    closer = 0.5 * ((relative - first).square() - (relative - moved).square())  # (1, 2)
    found = head.relate(voices, sums, sums)[:, -2:]
    torch.testing.assert_close(found, float(head.trust(sums, sums)) * 0.5 / float(head.variance) * closer)
    assert float(found[0, 0]) > 0.1


def test_a_turn_is_not_like_itself() -> None:
    """Nothing but the turn was heard: the prototypes are those of the training voices."""
    torch.manual_seed(0)
    head = BaselineHead(10, LABELS, BaselineHeadConfig(VOICE, likeness=0.5)).requires_grad_(False).eval()
    torch.nn.init.normal_(head.prototypes)
    voices = torch.stack([voice(0), voice(1, 0.1)])
    alone = head.note(voices)
    likeness = head.relate(voices, alone, alone)[:, -LABELS:]
    torch.testing.assert_close(likeness, torch.zeros(2, LABELS), atol=1e-5, rtol=0.0)
    assert head.relate(voices, alone + head.note(voices.flip(0)), alone)[:, -LABELS:].abs().max() < 1e-5
    twice = alone + head.note(voices.flip(0))
    assert head.relate(voices, twice, twice)[:, -LABELS:].abs().max() > 1e-3
    nobody = VoiceSums.stacked([head.nothing()] * 2)
    assert not head.relate(voices, twice, nobody)[:, -LABELS:].any()


def test_a_live_tracker_hears_what_the_conversation_so_far_makes_of_it(network: EmotionNetwork) -> None:
    scorer, said = ConversationScorer(network), turns_of("ABA")
    context = scorer.new_context()
    for place, turn in enumerate(said):
        online = scorer.estimate(context, turn).probabilities
        assert online == pytest.approx(scorer.score_dialogue(said[: place + 1])[-1].probabilities, abs=1e-5)


def test_the_baseline_outlasts_the_rolling_window(network: EmotionNetwork) -> None:
    scorer, said = ConversationScorer(network), turns_of("ABAB-A")
    context = scorer.new_context(2)
    for turn in said:
        newest = scorer.estimate(context, turn)
    assert float(context.baseline.room.turns) == len(said)  # type: ignore[union-attr]
    assert newest.probabilities != pytest.approx(scorer.score_dialogue(said[-2:])[-1].probabilities, abs=1e-4)


def test_who_proves_to_be_another_is_measured_so(network: EmotionNetwork) -> None:
    scorer = ConversationScorer(network)
    context, known = scorer.new_context(2), scorer.new_context(2)
    for turn, right in zip(turns_of("ABBA"), turns_of("AAAA"), strict=True):
        scorer.estimate(context, turn)
        scorer.estimate(known, right)
    context.merge("B", "A")
    newest = turns_of("----A")[-1]
    assert scorer.estimate(context, newest).probabilities == pytest.approx(
        scorer.estimate(known, newest).probabilities, abs=1e-5
    )
    context.attribute(["C"])
    assert {name: float(heard.turns) for name, heard in context.baseline.speakers.items()} == {  # type: ignore[union-attr]
        "A": 4.0,
        "C": 1.0,
    }


def test_looking_at_a_turn_under_way_remembers_nothing(network: EmotionNetwork) -> None:
    scorer, said = ConversationScorer(network), turns_of("AABA")
    context = scorer.new_context()
    for turn in said[:3]:
        scorer.estimate(context, turn)
    before = context.to_bytes()
    (looked,) = scorer.estimate_next([(context, said[3])])
    assert context.to_bytes() == before
    assert scorer.estimate(context.copy(), said[3]).probabilities == pytest.approx(looked.probabilities, abs=1e-5)
    assert context.to_bytes() == before


def test_a_snapshot_keeps_the_baseline(network: EmotionNetwork) -> None:
    scorer, said = ConversationScorer(network), turns_of("ABAB-A")
    context = scorer.new_context(2)
    for turn in said[:5]:
        scorer.estimate(context, turn)
    restored = scorer.restore_context(context.to_bytes())
    assert scorer.update(restored, said[5]) == scorer.update(context, said[5])
    restored.attribute(["B", "B"])
    context.attribute(["B", "B"])
    for one, other in zip((restored, context), (context, restored), strict=True):
        for name, heard in one.baseline.speakers.items():  # type: ignore[union-attr]
            torch.testing.assert_close(heard.total, other.baseline.speakers[name].total)  # type: ignore[union-attr]
    plain = ConversationScorer(tiny_network())
    stored = plain.new_context(2)
    plain.estimate(stored, TurnEmbedding(torch.zeros(8), None, None))
    with pytest.raises(SnapshotError, match="not a snapshot of a conversation: 'heard'"):
        scorer.restore_context(stored.to_bytes())


CANNOT_BE = [
    (kind, change)
    for kind in ("turns", "total", "squares", "believed")
    for change in (np.nan, np.inf, -1.0, 0.0, 1e3, 1e30)
    if (kind, change) not in {("total", -1.0), ("total", 0.0), ("squares", 1e3)}  # other voices could be so
]


@pytest.mark.parametrize(("kind", "change"), CANNOT_BE)
@pytest.mark.parametrize("of", ["room", "A"])
def test_a_baseline_that_cannot_be_is_refused(network: EmotionNetwork, kind: str, change: float, of: str) -> None:
    """One of its sums is another than the others allow."""
    scorer = ConversationScorer(network)
    context = scorer.new_context(2)
    for turn in turns_of("ABA"):
        scorer.estimate(context, turn)
    assert context.baseline is not None
    sums = {"room": context.baseline.room, **context.baseline.speakers}
    sums[of] = VoiceSums(**sums[of].tensors() | {kind: sums[of].tensors()[kind] * change})
    context.baseline = Baseline(sums.pop("room"), sums)
    with pytest.raises(SnapshotError, match="baseline"):
        scorer.restore_context(context.to_bytes())


@pytest.mark.parametrize("turns", [10**3, 10**5, 10**6, 4 * 10**6])
def test_a_baseline_of_a_long_time_is_one_however_its_sums_were_rounded(network: EmotionNetwork, turns: int) -> None:
    """Of an always-on room: beyond a hundred thousand turns of equal evidence a float32 sum is a thousandth off."""
    context = ConversationScorer(network).new_context(2)
    ConversationScorer(network).estimate(context, turns_of("A")[0])
    assert context.baseline is not None
    (one,) = context.baseline.speakers.values()

    def added_up(tensor: torch.Tensor) -> torch.Tensor:
        flat = [np.add.accumulate(np.full(turns, each, np.float32))[-1] for each in tensor.flatten().tolist()]
        return torch.tensor(np.array(flat)).reshape(tensor.shape)

    sums = VoiceSums(**{name: added_up(tensor) for name, tensor in one.tensors().items()})
    context.baseline = Baseline(sums, {"A": sums})
    assert ConversationScorer(network).restore_context(context.to_bytes()).baseline is not None


def test_a_snapshot_of_many_speakers_keeps_those_heard_last_and_what_is_remembered_of_the_others(
    network: EmotionNetwork,
) -> None:
    scorer = ConversationScorer(network)
    context = scorer.new_context(MAX_SPEAKERS + 4)
    names = [f"speaker {number}" for number in range(MAX_SPEAKERS + 4)]
    for number, name in enumerate([*names, *names]):
        scorer.estimate(context, TurnEmbedding(voice(number), None, name))
    restored = scorer.restore_context(context.to_bytes())
    assert restored.baseline is not None
    turns = {name: round(float(heard.turns)) for name, heard in restored.baseline.speakers.items()}
    assert turns == {name: 1 if name in names[:4] else 2 for name in names}
    restored.attribute([None] * len(names))
    assert {round(float(heard.turns)) for heard in restored.baseline.speakers.values()} == {1}
    assert set(restored.baseline.speakers) == set(names[4:])


@pytest.mark.parametrize("window", [1, 4, 40])
@pytest.mark.parametrize("seed", range(4))
def test_who_is_forgotten_and_comes_back_takes_nothing_from_anybody(
    network: EmotionNetwork, window: int, seed: int
) -> None:
    """Turns that prove to be another's, and two who prove to be one, among more speakers than have baselines."""
    scorer, chance = ConversationScorer(network), random.Random(seed)
    names = [f"speaker {number}" for number in range(MAX_SPEAKERS + 6)]
    context = scorer.new_context(window)
    said: list[str | None] = []
    for number in range(60):
        speaker = chance.choice(names)
        said.append(speaker)
        estimate = scorer.estimate(context, TurnEmbedding(voice(number), None, speaker))
        assert np.isfinite(estimate.probabilities).all()
        if chance.random() < 0.3:
            said[-chance.randint(1, min(window, len(said)))] = chance.choice([*names, None])
            context.attribute(said[-window:])
        if chance.random() < 0.1:
            one, other = chance.sample(names, 2)
            said = [other if speaker == one else speaker for speaker in said]
            context.merge(one, other)
        assert context.baseline is not None
        assert len(context.baseline.speakers) <= max(MAX_SPEAKERS, window)
        assert {name for name in said[-window:] if name} <= set(context.baseline.speakers)
        for heard in context.baseline.speakers.values():
            assert float(heard.believed.min()) > -1e-5
        scorer.restore_context(context.to_bytes())


def test_a_voice_moves_what_its_labels_mean(network: EmotionNetwork) -> None:
    """By how far it sounds more pleasant or aroused than what it is taken for, by itself."""
    affect, head = torch.tensor(affect_of(network.labels)), network.speech_head
    assert isinstance(head, BaselineHead)
    turns = [TurnEmbedding(voice(0), None, "A"), TurnEmbedding(None, torch.zeros(network.text_head.embedding), "B")]
    said, read = ConversationScorer(network).score_dialogue(turns)
    meant = torch.tensor([said.probabilities, read.probabilities]) @ affect  # (2, 2)
    departure = head.affect(voice(0)[:-1]) - head.sounds(voice(0)[None])[0] @ affect  # (2,)
    expected = (meant[0] + 0.5 * departure).clamp(-1.0, 1.0)
    assert [said.valence, said.arousal] == pytest.approx(expected.tolist(), abs=1e-5)
    assert [read.valence, read.arousal] == pytest.approx(meant[1].tolist(), abs=1e-5)
    head.affect.bias.data += 9.0
    assert ConversationScorer(network).score_dialogue(turns)[0].arousal == 1.0


def test_labels_that_are_no_emotions_have_neither(network: EmotionNetwork) -> None:
    labels = tuple(f"label {number}" for number in range(LABELS))
    other = EmotionNetwork(replace(network.config, labels=labels), network.tokenizer).eval()
    estimate = ConversationScorer(other).score_dialogue(turns_of("A"))[0]
    assert (estimate.valence, estimate.arousal) == (None, None)
