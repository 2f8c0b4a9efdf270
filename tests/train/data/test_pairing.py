"""Training conversations: cut, withheld, and put together from lines and voices that never met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from emotrack.models.conversation import TurnEmbedding
from emotrack.train.data.conversations import ConversationOptions, EncodedDialogue, Recorded, cut, prefixes, withhold
from emotrack.train.data.pairing import Lines, Paired, PairingOptions, Voices
from emotrack.train.learning.loop import LoopOptions
from emotrack.train.learning.losses import UNLABELLED, LossOptions
from emotrack.train.stages.context_stage import ConversationTask, What
from tests.models.conftest import tiny_network

WHOLE = ConversationOptions(cut=0.0, window=4, withhold_speech=0.0, withhold_text=0.0, withhold_turn=0.0)
LABELS = 3  # 0 is neutral


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dialogue(turns: int) -> EncodedDialogue:
    """Turns that carry their number as voice and as words."""
    each = [torch.tensor([float(number)]) for number in range(turns)]
    return EncodedDialogue(tuple(TurnEmbedding(one, one, "Ana") for one in each), torch.arange(turns))


class TestCut:
    def test_it_ends_at_any_turn_and_keeps_the_window(self) -> None:
        random, options = generator(), replace(WHOLE, cut=1.0)
        found = [cut(dialogue(9), options, random) for _ in range(300)]
        assert {each.targets[-1].item() for each in found} == set(range(9))
        for each in found:
            last = int(each.targets[-1])
            assert each.targets.tolist() == list(range(max(0, last - 3), last + 1))
            assert [int(turn.text) for turn in each.turns if turn.text is not None] == each.targets.tolist()

    def test_as_often_as_it_should(self) -> None:
        random, options = generator(), replace(WHOLE, cut=0.25)
        whole = sum(len(cut(dialogue(9), options, random).turns) == 9 for _ in range(1_000))
        assert 700 < whole < 800


class TestWithhold:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, {(True, True)}),
            ({"withhold_speech": 1.0}, {(False, True)}),
            ({"withhold_text": 1.0}, {(True, False)}),
            ({"withhold_turn": 1.0}, {(True, False), (False, True), (False, False)}),
            ({"withhold_turn": 0.5}, {(True, True), (True, False), (False, True), (False, False)}),
            ({"withhold_speech": 1.0, "withhold_turn": 0.5}, {(False, True), (False, False)}),
            ({"withhold_text": 1.0, "withhold_turn": 0.5}, {(True, False), (False, False)}),
        ],
    )
    def test_what_is_left(self, changes: dict[str, Any], expected: set[tuple[bool, bool]]) -> None:
        found = withhold(dialogue(100), replace(WHOLE, **changes), generator())
        assert {(turn.speech is not None, turn.text is not None) for turn in found.turns} == expected
        assert found.targets.tolist() == list(range(100))

    def test_shares_of_conversations(self) -> None:
        random, options = generator(), replace(WHOLE, withhold_speech=0.5, withhold_text=0.2)
        found = [withhold(dialogue(2), options, random).turns[0] for _ in range(1_000)]
        assert 450 < sum(turn.speech is None for turn in found) < 550
        assert 150 < sum(turn.text is None for turn in found) < 250


@pytest.mark.parametrize(("what", "answered"), [("text", [0, 1]), ("speech", [0, 2]), ("fused", [0, 1, 2])])
def test_only_what_was_heard_is_to_be_answered(what: What, answered: list[int]) -> None:
    network = tiny_network()
    words, voice = torch.zeros(network.text_head.embedding), torch.zeros(network.speech_head.embedding)  # (E,), (E,)
    heard = ((voice, words), (None, words), (voice, None), (None, None))
    turns = tuple(TurnEmbedding(speech, text, "Ana") for speech, text in heard)
    source = Recorded([EncodedDialogue(turns, torch.arange(4))], WHOLE)
    task = ConversationTask(network, what, source, [], LoopOptions(1, 1e-3, 8), LossOptions())
    [[found]] = task.batches(generator())
    assert found.targets.tolist() == [place if place in answered else UNLABELLED for place in range(4)]
    assert found.turns == turns


def test_prefixes_are_what_a_live_tracker_sees() -> None:
    found = prefixes(dialogue(6), window=4)
    assert [each.targets.tolist() for each in found] == [[place] for place in range(6)]
    said = [[int(turn.text) for turn in each.turns if turn.text is not None] for each in found]
    assert said == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]


def test_a_recorded_epoch_has_every_conversation_once() -> None:
    dialogues = [dialogue(count) for count in (1, 5, 9)]
    assert [len(each.turns) for each in Recorded(dialogues, WHOLE).epoch(generator())] == [1, 5, 9]


def paired(**changes: float) -> Paired:
    """Two dialogues of six lines; three actors with four clips of each emotion.

    A line's embedding is its number. A clip's is (emotion, actor, take); that of what is said in it is 100 + emotion.
    """
    lines = Lines(
        readings=torch.arange(12.0).view(12, 1, 1).expand(12, 2, 1),
        targets=torch.tensor([0, 1, 2, 0, UNLABELLED, 1] * 2),
        speakers=["Ross", "Rachel", None, "Ross", "Rachel", "Ross"] * 2,
        dialogues=[range(6), range(6, 12)],
    )
    clips = [(float(emotion), float(actor)) for actor in range(3) for emotion in range(LABELS) for _ in range(4)]
    takes = torch.tensor([[(*clip, float(take)) for take in range(2)] for clip in clips])
    voices = Voices(
        readings=takes,
        targets=takes[:, 0, 0].long(),
        speakers=[f"actor-{int(actor)}" for _, actor in clips],
        words=100 + takes[:, 0, :1],
        worded=torch.tensor([actor < 2 for _, actor in clips]),
    )
    options = PairingOptions(acted=0, turns=8, voiced=1.0, astray=0.0, unread=0.0, unheard=0.0, readings=2)
    return Paired(lines, voices, replace(options, **changes), WHOLE)  # type: ignore[arg-type]


def emotions(turns: tuple[TurnEmbedding, ...]) -> list[int]:
    return [-1 if turn.speech is None else int(turn.speech[0]) for turn in turns]


class TestPaired:
    def test_voices_agree_with_labels(self) -> None:
        for each in paired().epoch(generator()):
            assert emotions(each.turns) == each.targets.tolist()  # and what nobody labelled has no voice

    def test_voices_go_astray_as_often_as_asked_for(self) -> None:
        epochs = [paired(astray=0.6).epoch(generator(seed)) for seed in range(300)]
        agree = [
            sound == target
            for epoch in epochs
            for each in epoch
            for sound, target in zip(emotions(each.turns), each.targets.tolist(), strict=True)
            if target != UNLABELLED
        ]
        assert 0.57 < sum(agree) / len(agree) < 0.63  # four in ten, and a third of the rest by chance
        assert all(each.turns[4].speech is None for epoch in epochs for each in epoch)  # nobody labelled it

    def test_words_are_the_dialogues_and_a_speaker_keeps_a_voice(self) -> None:
        first, second = paired().epoch(generator())
        assert [int(turn.text) for turn in first.turns if turn.text is not None] == list(range(6))
        assert [turn.speaker for turn in second.turns] == ["Ross", "Rachel", None, "Ross", "Rachel", "Ross"]
        for each in (first, second):
            voice_of: dict[str | None, set[float]] = {}
            for turn in each.turns:
                if turn.speech is not None:
                    voice_of.setdefault(turn.speaker, set()).add(float(turn.speech[1]))
            assert all(len(voices) == 1 for voices in voice_of.values())

    def test_voices_are_given_to_as_many_dialogues_as_asked_for(self) -> None:
        found = [each for seed in range(200) for each in paired(voiced=0.25).epoch(generator(seed))]
        voiced = [sum(turn.speech is not None for turn in each.turns) for each in found]
        assert set(voiced) == {0, 5}  # all that are labelled
        assert 60 < voiced.count(5) < 140
        assert all(turn.text is not None for each in found for turn in each.turns)

    def test_actors_talk_over_plain_words(self) -> None:
        """Two actors in turn; voices show the label, words say nothing: the clip's own, a neutral line's, or none."""
        found = [each for seed in range(40) for each in paired(acted=3).epoch(generator(seed))[2:]]
        assert len(found) == 120
        words: list[float | None] = []
        for each in found:
            assert emotions(each.turns) == each.targets.tolist()
            assert len(each.turns) == 8
            speakers = [turn.speaker for turn in each.turns]
            assert speakers == speakers[:2] * 4
            for turn in each.turns:
                words.append(None if turn.text is None else float(turn.text))
                if turn.speaker == "actor-2" and words[-1] is not None:
                    assert words[-1] < 100  # nobody knows what is said in those clips
                assert turn.speech is not None
                if words[-1] is not None and words[-1] >= 100:
                    assert words[-1] == 100 + turn.speech[0]
        assert {word for word in words if word is not None and word < 100} == {0, 3, 6, 9}  # the neutral lines
        assert None in words
        assert any(word is not None and word >= 100 for word in words)

    def test_an_epoch_is_its_generators(self) -> None:
        source = paired(acted=2, voiced=0.5)
        source.conversation = replace(WHOLE, cut=0.7, withhold_speech=0.3, withhold_text=0.3, withhold_turn=0.3)
        first, again, other = (source.epoch(generator(seed)) for seed in (1, 1, 2))
        assert str(first) == str(again)
        assert str(first) != str(other)

    def test_a_speaker_is_given_an_actor_who_shows_all_of_their_emotions(self) -> None:
        source = paired()
        del source._clips["actor-0"][1], source._clips["actor-2"][2]
        for seed in range(50):
            first, _ = source.epoch(generator(seed))
            assert emotions(first.turns) == first.targets.tolist()  # Ross shows 0 and 1, Rachel 1, somebody 2
            for turn in first.turns:
                if turn.speaker in {"Ross", "Rachel"} and turn.speech is not None:
                    assert int(turn.speech[1]) != 0

    def test_an_emotion_that_nobody_shows_has_no_voice(self) -> None:
        source = paired()
        targets = torch.tensor([0, 3, 0, 3, UNLABELLED, 0] * 2)
        source.lines = replace(source.lines, targets=targets)
        for each in source.epoch(generator()):
            assert emotions(each.turns) == [0, -1, 0, -1, -1, 0]
