"""Adapting a bundle to a room: the last layer, slightly re-trained on people's corrections.

Everything before the co-attention's classifier stays as it is. The classifier's weights may move a little from where
they were (a ridge penalty on the move), which also calibrates it anew. How far is decided by what they knew before: the
penalty is the least at which they are no more than a point worse on general data. The result is accepted only if it
also does better than the bundle on corrections that it was not trained on. Where the classifier has no part in turns
with one modality (``residual``), corrections of those teach it nothing, and are counted only to be named.

Notation: N corrected turns, D width of the classifier's input, C labels.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emotrack.errors import EmotrackError
from emotrack.models.bundle import bundle_folder, load_bundle, save_bundle
from emotrack.models.context import RollingContext
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.messages.output import say
from emotrack.tracker.sessions.correct.audio_player import audio_path
from emotrack.tracker.sessions.reading.reader import Session, missing_lines, read_sessions
from emotrack.train.corpora.acted_corpora import ACTED
from emotrack.train.data.audio import read_audio
from emotrack.train.data.dialogues import read_dialogues
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn, encode, judge
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.running.progress import track

GENERAL = ("meld", *ACTED)  # corpora that may guard the bundle's general knowledge
MIN_CORRECTIONS = 20  # fewer say nothing about turns they were not made for
FOLDS = 5
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)  # tried in turn, on the squared move of the weights; divided by N
MAX_FALL = 0.01  # of the weighted F1 on general data
STEPS = 100


@dataclass(frozen=True, slots=True)
class CorrectedTurn:
    """A turn that a person judged, as the bundle's last layer met it."""

    state: Tensor  # (D,) the classifier's input
    evidence: Tensor  # (C,) scores that are added to the classifier's
    temperature: float  # by which the sum is divided
    truth: int  # index into the bundle's labels
    has_say: bool  # whether the classifier has a part in it
    words: Tensor  # (E',) as they were encoded
    words_alone: bool


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The outcome of an adaptation."""

    corrections: int
    penalty: float
    before: Scores
    """Of the bundle, on the corrections."""
    after: Scores
    """Of adapted bundles, each on the fold of the corrections it was not trained on."""
    loss_before: float
    loss_after: float
    """Cross-entropy of the same, in nats."""
    general: dict[str, tuple[float, float]]
    """Weighted F1 on the dev split of each general corpus, before and after."""

    @property
    def refusals(self) -> list[str]:
        """Why it is not accepted; empty when it is."""
        reasons = []
        if self.loss_after >= self.loss_before:
            reasons.append(f"held-out loss does not improve ({self.loss_before:.3f} -> {self.loss_after:.3f})")
        if self.after.weighted_f1 < self.before.weighted_f1:
            change = f"{self.before.weighted_f1:.3f} -> {self.after.weighted_f1:.3f}"
            reasons.append(f"held-out weighted F1 falls ({change})")
        reasons += [
            f"weighted F1 on {corpus} falls by more than {MAX_FALL} ({before:.3f} -> {after:.3f})"
            for corpus, (before, after) in self.general.items()
            if after < before - MAX_FALL
        ]
        return reasons

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "corrections": self.corrections,
            "penalty": self.penalty,
            "held_out": {
                "loss": [round(self.loss_before, 4), round(self.loss_after, 4)],
                "weighted_f1": [round(self.before.weighted_f1, 4), round(self.after.weighted_f1, 4)],
                "ece": [round(self.before.ece, 4), round(self.after.ece, 4)],
            },
            "general_weighted_f1": {name: [round(score, 4) for score in both] for name, both in self.general.items()},
        }


def adapt(bundle: str, sessions: Path, general: dict[str, Path], out: Path, seed: int) -> Adaptation:
    """Adapt ``bundle`` to the corrections in ``sessions`` and write it to ``out`` if that is accepted.

    Args:
        bundle: a packaged name or a folder.
        sessions: folder of saved sessions, with the audio that was kept beside them.
        general: corpora whose dev split guards the bundle's earlier knowledge: meld, or folders of acted speech.
        out: the adapted bundle's folder.
        seed: of the folds.

    Raises:
        TrainError: too few corrections, or data that is missing.
        BundleError: the bundle cannot be loaded.
    """
    network = load_bundle(bundle)
    if network.config.stage < 3:
        raise TrainError(f"{bundle}: only a bundle with all three stages can be adapted")
    corrected = collect(network, sessions)
    turns = [turn for turn in corrected if turn.has_say]
    if len(turns) < MIN_CORRECTIONS:
        told = f"{sessions}: {len(turns)} corrected turns; adapting needs at least {MIN_CORRECTIONS}"
        if others := len(corrected) - len(turns):
            told += f" with voice and words ({others} others have only one of them; live --keep-audio keeps voices)"
        raise TrainError(told)
    guards = {
        name: encode(network, read_dialogues(_corpus(name), data, "dev", "both")) for name, data in general.items()
    }
    known = {name: _weighted_f1(network, guard) for name, guard in guards.items()}
    for penalty in PENALTIES:
        adapted = retrain(network, turns, penalty)
        knows = {name: _weighted_f1(adapted, guard) for name, guard in guards.items()}
        if all(knows[name] >= known[name] - MAX_FALL for name in guards):
            break
    baseline = predict(network, turns)  # (N, C)
    held_out = cross_validate(network, turns, penalty, seed)  # (N, C)
    truth = torch.tensor([turn.truth for turn in turns])  # (N,)
    found = Adaptation(
        corrections=len(turns),
        penalty=penalty,
        before=score(baseline.exp().numpy(), truth.numpy(), network.labels),
        after=score(held_out.exp().numpy(), truth.numpy(), network.labels),
        loss_before=float(nn.functional.nll_loss(baseline, truth)),
        loss_after=float(nn.functional.nll_loss(held_out, truth)),
        general={name: (known[name], knows[name]) for name in guards},
    )
    if not found.refusals:
        _save(bundle, adapted, found, out)
    return found


def _weighted_f1(network: EmotionNetwork, dialogues: list[list[EncodedTurn]]) -> float:
    probabilities, truth = judge(network, dialogues)  # (N, C), (N,)
    return score(probabilities.numpy(), truth.numpy(), network.labels).weighted_f1


def collect(network: EmotionNetwork, sessions: Path) -> list[CorrectedTurn]:
    """Every corrected turn in a folder's sessions, encoded as it was when it was tracked: with the turns before it.

    Raises:
        TrainError: no session can be read, or a correction has a label that the bundle does not know.
    """
    paths = sorted(sessions.glob("*.jsonl"))
    if not paths:
        raise TrainError(f"{sessions}: no saved sessions (*.jsonl)")
    found: list[CorrectedTurn] = []
    for path in track(paths, "encode"):
        try:
            saved = read_sessions(path)
            for line in missing_lines(saved):
                say(line, "emotrack train")
            for session in saved:
                found += _collect(network, session)
        except EmotrackError as error:
            raise TrainError(str(error)) from error
    return found


def _collect(network: EmotionNetwork, session: Session) -> list[CorrectedTurn]:
    scorer = ConversationScorer(network)
    context = scorer.new_context()
    found = []
    for turn in session.turns:
        voice = audio_path(session.path, turn.audio) if turn.audio else None
        if voice is None and turn.text is None:
            continue
        embedding = TurnEmbedding(
            speech=None if voice is None else network.embed_speech(read_audio(voice)),
            text=None if turn.text is None else network.embed_text(turn.text, context.words),
            speaker=turn.speaker,
            words=turn.text,
        )
        scorer.estimate(context, embedding)
        correction = session.corrections.get(turn.turn_id)
        if correction is None:
            continue
        if correction.emotion not in network.labels:
            raise TrainError(
                f"{session.path}: turn {turn.turn_id} is corrected to {correction.emotion!r}, "
                f"which the bundle does not know ({', '.join(network.labels)})"
            )
        found.append(_as_met(network, context, network.labels.index(correction.emotion)))
    return found


@torch.no_grad()
def _as_met(network: EmotionNetwork, context: RollingContext, truth: int) -> CorrectedTurn:
    """The newest turn of ``context`` at the door of the last layer."""
    turns = network.collate([context.turns], [context.baseline])
    scores = network(turns)
    state = scores.states["fused"][0, -1]  # (D,)
    both = not bool((turns.text_missing | turns.speech_missing)[0, -1])
    has_say = both or not network.config.conversation.residual
    evidence = scores.fused[0, -1]  # (C,)
    if has_say:
        evidence = evidence - _last_layer(network)(state)  # (C,)
    temperature = float(network.temperatures(turns)[0, -1])
    words = turns.text[0, -1]  # (E',)
    return CorrectedTurn(state, evidence, temperature, truth, has_say, words, bool(turns.speech_missing[0, -1]))


def _last_layer(network: EmotionNetwork) -> nn.Module:
    """The classifier of Stage III."""
    return network.co_attention.get_submodule("classify")


def predict(network: EmotionNetwork, turns: Sequence[CorrectedTurn]) -> Tensor:
    """(N, C) log probabilities of turns."""
    states = torch.stack([turn.state for turn in turns])  # (N, D)
    evidence = torch.stack([turn.evidence for turn in turns])  # (N, C)
    temperature = torch.tensor([turn.temperature for turn in turns]).unsqueeze(1)  # (N, 1)
    said: Tensor = _last_layer(network)(states)  # (N, C)
    has_say = torch.tensor([turn.has_say for turn in turns]).unsqueeze(1)  # (N, 1)
    scores = evidence + said.masked_fill(~has_say, 0.0)  # (N, C)
    believed = (scores / temperature).softmax(dim=1)  # (N, C)
    again = network.asked_again(believed, torch.stack([turn.words for turn in turns]))  # (N, C)
    words_alone = torch.tensor([turn.words_alone for turn in turns]).unsqueeze(1)  # (N, 1)
    return torch.where(words_alone, again, believed).clamp(min=torch.finfo(torch.float32).tiny).log()  # (N, C)


def retrain(network: EmotionNetwork, turns: Sequence[CorrectedTurn], penalty: float) -> EmotionNetwork:
    """A copy of the network whose last layer moved a little towards ``turns``."""
    adapted = copy.deepcopy(network)
    heads = list(_last_layer(adapted).parameters())
    origin = [parameter.clone() for parameter in heads]
    for parameter in heads:
        parameter.requires_grad_(True)
    truth = torch.tensor([turn.truth for turn in turns])  # (N,)
    optimizer = torch.optim.LBFGS(heads, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        moved = sum((now - before).square().sum() for now, before in zip(heads, origin, strict=True))
        total = nn.functional.nll_loss(predict(adapted, turns), truth) + penalty / len(turns) * moved
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return adapted.requires_grad_(False)


def cross_validate(network: EmotionNetwork, turns: Sequence[CorrectedTurn], penalty: float, seed: int) -> Tensor:
    """(N, C) log probabilities, each turn by a bundle that was adapted to the other folds."""
    order = torch.randperm(len(turns), generator=torch.Generator().manual_seed(seed))  # (N,)
    found = torch.zeros(len(turns), len(network.labels))  # (N, C)
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]  # (M,)
        rest = [turns[i] for i in range(len(turns)) if i not in set(held_out.tolist())]
        found[held_out] = predict(retrain(network, rest, penalty), [turns[i] for i in held_out.tolist()])
    return found


def _corpus(name: str) -> str:
    return "meld" if name == "meld" else "acted"


def _save(bundle: str, adapted: EmotionNetwork, found: Adaptation, out: Path) -> None:
    """The adapted bundle, with the metrics and the card of the one it came from, and what changed."""
    folder = bundle_folder(bundle)
    adapted.config = replace(adapted.config, name=f"{adapted.name[:90]}-adapted")
    metrics = json.loads((folder / "metrics.json").read_text()) | {"adapted": found.to_dict()}
    card = (folder / "README.md").read_text()
    note = (
        f"# Adapted\n\nThe last layer of `{bundle}` was adapted to {found.corrections} corrections of one room; "
        "`metrics.json` has the figures under `adapted`. What follows is the card of the original.\n\n"
    )
    save_bundle(adapted, out, metrics, note + card)
