"""Evaluation on a corpus: how well the network does, from voice, from words and from both.

Online is as a live tracker is judged: every turn when it ends, from the past alone. Offline, every turn sees the whole
dialogue. A turn is encoded once, and scored by its voice, its words or both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from emotrack.models.bounds import MAX_SPEECH_S, SAMPLE_RATE
from emotrack.models.care import SpeechFeatures
from emotrack.models.config import NetworkConfig
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.given import GivenSpeech, GivenText
from emotrack.models.labels import canonical
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.train.corpora import Corpus, CorpusTurn
from emotrack.train.corpora.own_labels import LabelMap
from emotrack.train.data.dialogues import LabelledTurn, hear
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.evaluation.predictions import Predictions
from emotrack.train.evaluation.sentiment import SentimentScores, score_sentiment

Mode = Literal["online", "offline"]
Modalities = Literal["both", "speech", "text"]


@dataclass(frozen=True, slots=True)
class EncodedTurn:
    """A turn as the encoders hand it on, with its truth; one without ``emotion`` is context and is not scored."""

    embedding: TurnEmbedding
    emotion: str | None  # the network's label for it
    traits: Mapping[str, str] = field(default_factory=dict)  # of the corpus's turn
    dialogue: str = ""  # as its corpus calls it
    name: str = ""  # as its corpus counts or calls it in the dialogue
    sentiment: float | None = None  # of the corpus's turn


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's results on a corpus."""

    scores: dict[Modalities, Scores]  # the fullest first
    left_out: dict[str, int]
    """Turns that were not scored, by label: the bundle has no counterpart of it; or "several labels"."""
    by_trait: dict[str, dict[str, Scores]] = field(default_factory=dict)
    """The fullest scores by corpus, gender and language, each where turns of several are known."""
    predictions: dict[Modalities, Predictions] = field(default_factory=dict)
    """What the scores are of, turn by turn."""
    sentiment: dict[Modalities, SentimentScores] = field(default_factory=dict)
    """CMU-MOSI's own figures, where corpus and bundle have them."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: the fullest scores on top, and the scores of each modality beside them."""
        fullest = next(iter(self.scores))
        each = {name: scores.to_dict() for name, scores in self.scores.items()}
        by_trait = {
            trait: {value: scores.to_dict() for value, scores in values.items()}
            for trait, values in self.by_trait.items()
        }
        sentiment = {name: scores.to_dict() for name, scores in self.sentiment.items()}
        return {
            "modalities": fullest,
            **each[fullest],
            "left_out": self.left_out,
            "by_modalities": each,
            "by_trait": by_trait,
            **({"sentiment": sentiment} if sentiment else {}),
        }


def evaluate_corpus(
    network: EmotionNetwork, corpus: Corpus, mode: Mode = "online", only: Modalities | None = None
) -> Evaluation:
    """Score a network on a corpus: with voice and words, with voice alone and with words alone, as far as it has them.

    Args:
        network: the network to judge.
        corpus: the corpus to judge it on.
        mode: the turns of its dialogue that a turn may see.
        only: nothing but this is scored.

    Raises:
        TrainError: audio that cannot be read, a modality that the corpus lacks, or no label that the bundle knows.
    """
    present = modalities_of(corpus, only)
    return scored(network, corpus, encode_corpus(network, corpus, only), present, mode)


def modalities_of(corpus: Corpus, only: Modalities | None = None) -> list[Modalities]:
    """What a corpus is scored from, the fullest first. Raises ``TrainError`` where it lacks what is asked for."""
    has = {
        "speech": any(turn.audio or "speech" in turn.given for turn in corpus.turns),
        "text": any(turn.text or "text" in turn.given for turn in corpus.turns),
    }
    lacking = [name for name in has if only in (name, "both") and not has[name]]
    if lacking:
        raise TrainError(f"this copy of {corpus.name} has no {lacking[0]}: evaluate it without --modalities {only}")
    present: list[Modalities] = [only] if only else [name for name in ("speech", "text") if has[name]]
    if len(present) > 1:
        present.insert(0, "both")
    return present


def encode_corpus(network: EmotionNetwork, corpus: Corpus, only: Modalities | None = None) -> list[list[EncodedTurn]]:
    """Run the encoders over a corpus, as far as it is scored, and show how far they are. Raises ``TrainError``."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        return [
            [
                replace(encoded, traits=turn.traits, dialogue=dialogue.name, name=turn.name, sentiment=turn.sentiment)
                for turn, encoded in zip(
                    dialogue.turns,
                    encode_dialogue(network, [hear(_needed(turn, only)) for turn in dialogue.turns]),
                    strict=True,
                )
            ]
            for dialogue in progress.track(corpus.dialogues, description="encode")
        ]


def reread(
    network: EmotionNetwork, corpus: Corpus, dialogues: Sequence[Sequence[EncodedTurn]]
) -> list[list[EncodedTurn]]:
    """The same voices with the words of this corpus, which are another recogniser's. Raises ``TrainError``."""
    return [
        [
            replace(read, embedding=replace(read.embedding, speech=heard.embedding.speech))
            for read, heard in zip(*pair, strict=True)
        ]
        for pair in zip(encode_corpus(network, corpus, "text"), dialogues, strict=True)
    ]


def scored(
    network: EmotionNetwork,
    corpus: Corpus,
    dialogues: Sequence[Sequence[EncodedTurn]],
    present: Sequence[Modalities],
    mode: Mode = "online",
    window: int | None = None,
) -> Evaluation:
    """Score the encoded turns of a corpus, however they are put together to dialogues.

    Args:
        network: the network to judge.
        corpus: what was encoded.
        dialogues: its turns.
        present: what is scored, the fullest first.
        mode: the turns of its dialogue that a turn may see.
        window: online, how many turns it may see, itself among them; by default the bundle's own number.

    Raises:
        TrainError: no turn has a label that the bundle knows.
    """
    if not any(with_only(dialogues, present[0])):
        raise TrainError(f"nothing of this copy of {corpus.name} can be given to the bundle: see --features")
    left_out = Counter(
        "several labels" if len(turn.labels) > 1 else turn.labels[0]
        for turn in corpus.turns
        if turn.labels and (turn.emotion is None or counterpart(turn.emotion, network.config) is None)
    )
    scores, predictions = {}, {}
    by_trait: dict[str, dict[str, Scores]] = {}
    sentiment: dict[Modalities, SentimentScores] = {}
    for modalities in present:
        heard = with_only(dialogues, modalities)
        probabilities, truth = judge(network, heard, mode, window)  # (N, C), (N,)
        scores[modalities] = score(probabilities.numpy(), truth.numpy(), network.labels)
        judged = _judged(heard)
        places = [(turn.dialogue, turn.name, turn.embedding.speaker or "") for turn in judged]
        predictions[modalities] = Predictions(network.labels, places, truth.numpy(), probabilities.numpy())
        degrees = score_sentiment(probabilities.numpy(), [turn.sentiment for turn in judged], network.labels)
        if degrees is not None:
            sentiment[modalities] = degrees
        if modalities == present[0]:
            traits = [turn.traits for turn in judged]
            by_trait = _by_trait(probabilities.numpy(), truth.numpy(), network.labels, traits)
    return Evaluation(scores, dict(left_out.most_common()), by_trait, predictions, sentiment)


def _judged(dialogues: Iterable[Sequence[EncodedTurn]]) -> list[EncodedTurn]:
    """The N turns that ``judge`` scores, in its order."""
    return [turn for dialogue in dialogues for turn in dialogue if turn.emotion is not None]


def _by_trait(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    traits: Sequence[Mapping[str, str]],
) -> dict[str, dict[str, Scores]]:
    """(N, C), (N,) and N turns' traits -> the scores of the turns of each value of a trait, where there are several."""
    found: dict[str, dict[str, Scores]] = {}
    for trait in dict.fromkeys(name for each in traits for name in each):
        values = sorted({each[trait] for each in traits if trait in each})
        if len(values) > 1:
            rows = {value: [row for row, each in enumerate(traits) if each.get(trait) == value] for value in values}
            found[trait] = {value: score(probabilities[row], truth[row], labels) for value, row in rows.items()}
    return found


def _needed(turn: CorpusTurn, only: Modalities | None) -> CorpusTurn:
    """The turn without a modality that is not scored, so that it is not encoded either."""
    return replace(
        turn,
        audio=None if only == "text" else turn.audio,
        text=None if only == "speech" else turn.text,
        given={name: each for name, each in turn.given.items() if only in (None, "both", name)},
    )


def counterpart(emotion: str, config: NetworkConfig) -> str | None:
    """The network's label for an emotion of a corpus; None if none of them means it."""
    if config.stands_for:
        return next((label for label, sources in config.stands_for.items() if emotion in sources), None)
    names = (emotion, canonical(emotion))
    return next((name for name in names if name in config.labels), None)


def standing_for(config: NetworkConfig, corpus: Corpus, labels: LabelMap) -> NetworkConfig:
    """The configuration of a bundle whose labels stand for these of a corpus, and for the others as before.

    Raises:
        TrainError: the bundle or the corpus has no such label, or one of the corpus's is named twice.
    """
    if strange := next((label for label in labels if label not in config.labels), None):
        raise TrainError(f"--labels: the bundle has no label {strange!r}: there are {', '.join(config.labels)}")
    named = [(source, label) for label, sources in labels.items() for source in sources]
    told = dict(named)
    if strange := next((source for source in told if source not in corpus.labels), None):
        raise TrainError(f"--labels: {corpus.name} has no label {strange!r}: there are {', '.join(corpus.labels)}")
    if len(told) < len(named):
        raise TrainError("--labels: a label of the corpus is named twice")
    means = {source: told.get(source) or counterpart(source, config) for source in corpus.labels}
    return replace(
        config,
        stands_for={label: tuple(each for each in means if means[each] == label) for label in config.labels},
    )


def encode(network: EmotionNetwork, dialogues: Iterable[Sequence[LabelledTurn]]) -> list[list[EncodedTurn]]:
    """Run the encoders over conversations; the later stages can then be judged again and again at little cost."""
    return [encode_dialogue(network, dialogue) for dialogue in dialogues]


def encode_dialogue(network: EmotionNetwork, turns: Sequence[LabelledTurn]) -> list[EncodedTurn]:
    """Run the encoders over one conversation; speech past the encoder's limit is left out."""
    said: list[str | None] = []
    found = []
    for turn in turns:
        embedding = TurnEmbedding(
            speech=_embedded_speech(network, turn),
            text=_embedded_text(network, turn, said),
            speaker=turn.speaker,
            words=turn.text,
        )
        known = None if turn.emotion is None else counterpart(turn.emotion, network.config)
        found.append(EncodedTurn(embedding, known))
        said.append(turn.text)
    return found


def _embedded_text(network: EmotionNetwork, turn: LabelledTurn, said: Sequence[str | None]) -> Tensor | None:
    """(E,) of a turn's words, after those of the turns before it; None where there are none."""
    if isinstance(network.text_encoder, GivenText):
        return turn.given.get("text")
    return None if turn.text is None else network.embed_text(turn.text, said)


@torch.inference_mode()
def _embedded_speech(network: EmotionNetwork, turn: LabelledTurn) -> Tensor | None:
    """(V,) of a turn's voice; None where there is none."""
    if isinstance(network.speech_encoder, GivenSpeech):
        if "speech" not in turn.given:
            return None
        layers = turn.given["speech"].to(network.device)[None, None]  # (1, 1, F)
        found: Tensor = network.speech_head.embed(SpeechFeatures(layers, None))[0]  # (V,)
        return found
    return None if turn.waveform is None else network.embed_speech(turn.waveform[: int(MAX_SPEECH_S * SAMPLE_RATE)])


def with_only(dialogues: Sequence[Sequence[EncodedTurn]], modalities: Modalities) -> list[list[EncodedTurn]]:
    """The same conversations with the voice or the words alone; turns of which nothing was heard are left out."""
    kept = []
    for dialogue in dialogues:
        turns = [
            replace(
                turn,
                embedding=replace(
                    turn.embedding,
                    speech=None if modalities == "text" else turn.embedding.speech,
                    text=None if modalities == "speech" else turn.embedding.text,
                ),
            )
            for turn in dialogue
        ]
        kept.append([turn for turn in turns if turn.embedding.speech is not None or turn.embedding.text is not None])
    return kept


def judge(
    network: EmotionNetwork,
    dialogues: Iterable[Sequence[EncodedTurn]],
    mode: Mode = "online",
    window: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Run conversations through the network, online with a rolling window of ``window`` turns.

    Returns:
        (N, C) probabilities and (N,) true label indices of the N turns whose truth is one of the bundle's labels.

    Raises:
        TrainError: there is no such turn.
    """
    probabilities: list[tuple[float, ...]] = []
    truth: list[int] = []
    scorer = ConversationScorer(network)
    for dialogue in dialogues:
        turns = [turn.embedding for turn in dialogue]
        if mode == "offline":
            found = scorer.score_dialogue(turns)
        else:
            context = scorer.new_context(window)
            found = [scorer.estimate(context, turn) for turn in turns]
        for turn, estimate in zip(dialogue, found, strict=True):
            if turn.emotion is not None:
                probabilities.append(estimate.probabilities)
                truth.append(network.labels.index(turn.emotion))
    if not truth:
        raise TrainError(f"no turn has one of the bundle's labels ({', '.join(network.labels)})")
    return torch.tensor(probabilities), torch.tensor(truth)  # (N, C), (N,)
