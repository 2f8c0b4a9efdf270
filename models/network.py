"""The network: MERITS-L (Dutta and Ganapathy, arXiv 2501.11468, Fig. 2), run over a rolling window of turns.

    words -> text encoder   -> Stage I head -> Stage II context network -+
                                                                         +-> Stage III co-attention -> emotion
    voice -> speech encoder -> Stage I head -> Stage II context network -+

It knows its own specification (labels, sample rate, context), so that whoever runs it needs nothing else. Encoding
(``embed_speech``, ``embed_text``) and estimating are apart: the encoders may run in different threads, a turn is
encoded once, and its embeddings are joined, turn by turn, in the order of the conversation.

Notation: B batch, K turns, C labels, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
import pydantic.dataclasses
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.bounds import MAX_SPEECH_S, MIN_SPEECH_S
from emotrack.models.care import CareConfig
from emotrack.models.co_attention import CoAttention
from emotrack.models.context import EmotionEstimate, Part, Revision, RollingContext
from emotrack.models.context_network import ContextConfig, ContextNetwork
from emotrack.models.conversation import Conversations, TurnEmbedding, collate
from emotrack.models.encoders import AnySpeechConfig, AnyTextConfig, build_speech_encoder, build_text_encoder
from emotrack.models.features import SAMPLE_RATE
from emotrack.models.front_end import padding_mask
from emotrack.models.heads import SpeechHead, TextHead
from emotrack.models.labels import EMOTIONS
from emotrack.models.pretrained import Pretrained
from emotrack.models.shapes import with_few_lengths, with_few_rows
from emotrack.models.sizes import Context, Name, Share, Temperature, Width
from emotrack.models.text_encoder import TextConfig, read_turn

Stage = Annotated[int, Field(strict=True, ge=1, le=3)]

REVISION_MARGIN = 0.1  # of probability, by which another emotion must lead before an earlier turn is revised


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class SpeechHeadConfig:
    """Widths of the Stage-I speech head's two layers."""

    hidden: Width = 256
    embedding: Width = 256


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Temperatures by which scores are divided, by what was heard of a turn; fitted on dev."""

    text: Temperature = 1.0
    speech: Temperature = 1.0
    both: Temperature = 1.0


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class NetworkConfig:
    """All that a bundle's weights need to become a network.

    Raises:
        ValueError: a number is out of its bounds, or a name cannot be shown or occurs twice among the labels.
    """

    name: Name
    labels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = EMOTIONS
    sample_rate: Literal[16_000] = SAMPLE_RATE  # Hz
    stage: Stage = 3  # how far it is trained: 1 each turn alone, 2 each modality alone, 3 everything
    context: Context = 16  # turns in the rolling window, the newest included
    uncertain_below: Share = 0.4  # confidence; chosen on dev
    text: AnyTextConfig = field(default_factory=TextConfig)
    speech: AnySpeechConfig = field(default_factory=CareConfig)
    speech_head: SpeechHeadConfig = field(default_factory=SpeechHeadConfig)
    conversation: ContextConfig = field(default_factory=ContextConfig)
    calibration: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"a label occurs twice among {', '.join(self.labels)}")


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of every turn in a batch of conversations, before the softmax."""

    text: Tensor  # (B, K, C) from words alone; meaningless where they are missing
    speech: Tensor  # (B, K, C) from the voice alone; meaningless where it is missing
    fused: Tensor  # (B, K, C)
    states: dict[str, Tensor]  # (B, K, D) what the classifiers of stages II and III read, by the names above


class EmotionNetwork(nn.Module, Pretrained):
    """Voice and words of a turn, and the turns around it -> how likely each emotion is."""

    def __init__(self, config: NetworkConfig, tokenizer: Tokenizer, fingerprint: str = "unsaved") -> None:
        super().__init__()
        self.config = config
        self.fingerprint = fingerprint  # the first digits of the weights' SHA-256
        self.tokenizer = tokenizer
        labels = len(config.labels)
        self.text_encoder = build_text_encoder(config.text)
        self.text_head = TextHead(self.text_encoder.width, labels)
        self.speech_encoder = build_speech_encoder(config.speech)
        self.speech_head = SpeechHead(
            self.speech_encoder.layers,
            self.speech_encoder.width,
            self.speech_encoder.summary_width,
            labels,
            hidden=config.speech_head.hidden,
            embedding=config.speech_head.embedding,
        )
        if config.stage >= 2:
            self.text_context = ContextNetwork(self.text_head.embedding, labels, config.conversation)
            self.speech_context = ContextNetwork(self.speech_head.embedding, labels, config.conversation)
        if config.stage >= 3:
            self.co_attention = CoAttention(self.text_context.width, labels, config.conversation)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def labels(self) -> tuple[str, ...]:
        return self.config.labels

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def default_context(self) -> int:
        return self.config.context

    @property
    def device(self) -> torch.device:
        return self.text_head.classify.weight.device

    # -- Stage I: a turn is encoded once --------------------------------------------------------------------------

    def embed_speech(self, waveform: NDArray[np.float32]) -> Tensor:
        """Encode the voice of one turn: (samples,) mono at ``sample_rate`` -> (E,).

        Raises:
            ValueError: not one channel, not 0.1 to 30 s long, or samples that are not finite.
        """
        return self.embed_speech_batch([waveform])[0]

    @torch.inference_mode()
    def embed_speech_batch(self, waveforms: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """The same for several turns at once: (samples,) each -> (E,) each, the same as alone but for rounding.

        The longest decides what the batch costs.
        """
        read = [self._prepare(waveform) for waveform in waveforms]  # (T0, ...) each
        lengths = torch.tensor([len(inputs) for inputs in read], device=self.device)  # (B,)
        inputs = nn.utils.rnn.pad_sequence(read, batch_first=True)  # (B, T0, ...)
        longest = max(len(waveform) for waveform in waveforms)
        inputs = with_few_lengths(inputs, int(inputs.shape[1] * MAX_SPEECH_S * self.sample_rate / longest))
        if self.has_few_rows:
            inputs, lengths = with_few_rows(inputs), with_few_rows(lengths)  # (B', T0', ...), (B',)
        with self._autocast():
            features = self.speech_encoder(inputs, lengths)
        return list(self.speech_head.embed(features)[: len(read)])

    def _prepare(self, waveform: NDArray[np.float32]) -> Tensor:
        """(samples,) -> (T0, ...) what the speech encoder reads of it."""
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"a waveform is one-dimensional, not of shape {samples.shape}")
        seconds = len(samples) / self.sample_rate
        if not MIN_SPEECH_S <= seconds <= MAX_SPEECH_S:
            raise ValueError(f"a waveform lasts {MIN_SPEECH_S} to {MAX_SPEECH_S} s, not {seconds:.2f} s")
        if not np.isfinite(samples).all():
            raise ValueError("a waveform holds finite numbers only")
        return self.speech_encoder.prepare(torch.tensor(samples, device=self.device))  # (T0, ...)

    def embed_text(self, text: str, before: Sequence[str | None] = ()) -> Tensor:
        """Encode the words of one turn -> (E,). Words past the encoder's limit are left out.

        Args:
            text: the turn's words.
            before: the words of the turns before it, oldest first (``RollingContext.words``).

        Raises:
            ValueError: there are no words; such a turn has no text at all.
        """
        return self.embed_text_batch([(text, before)])[0]

    @torch.inference_mode()
    def embed_text_batch(self, turns: Sequence[tuple[str, Sequence[str | None]]]) -> list[Tensor]:
        """The same for several turns at once, each with the words before it -> (E,) each."""
        if not all(text.strip() for text, _ in turns):
            raise ValueError("a text without words: leave the text out instead")
        read = [read_turn(self.tokenizer, text, before, self.config.text) for text, before in turns]
        tokens = [torch.tensor(tokens, device=self.device) for tokens, _ in read]  # (N,) each
        lengths = torch.tensor([len(each) for each in tokens], device=self.device)  # (B,)
        own = torch.tensor([own for _, own in read], device=self.device)  # (B,)
        ids = with_few_lengths(nn.utils.rnn.pad_sequence(tokens, batch_first=True), self.config.text.max_tokens)
        if self.has_few_rows:
            ids, lengths, own = with_few_rows(ids), with_few_rows(lengths), with_few_rows(own)  # (B', N'), (B',), (B',)
        with self._autocast():
            embeddings: Tensor = self.text_encoder(ids, padding_mask(lengths, ids.shape[1]), own)  # (B', E)
        return list(embeddings[: len(turns)].float())

    @property
    def has_few_rows(self) -> bool:
        """Whether batches are filled up to a power of two: on a GPU, where a further row costs next to nothing."""
        return self.device.type == "cuda"

    def _autocast(self) -> torch.autocast:
        """bfloat16 where it is quick; what is handed on is float32 again."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    # -- Stages II and III ----------------------------------------------------------------------------------------

    def forward(self, turns: Conversations, *, with_states: bool = True) -> Scores:
        """Score every turn of a batch of conversations, each turn seeing all others of its conversation.

        Without states, what no score depends on is left out.
        """
        words, voices = (turns.text, turns.text_missing), (turns.speech, turns.speech_missing)
        states: dict[str, Tensor] = {}
        if self.config.stage == 1:
            text, speech = self.text_head(turns.text), self.speech_head(turns.speech)  # (B, K, C), (B, K, C)
        else:
            needed = {"text", "speech", "fused"} if with_states else self._needed(turns)
            read = heard = turns.text.new_zeros(*turns.text.shape[:2], self.text_context.width)  # (B, K, D)
            if "text" in needed:
                read = self.text_context(*words, turns.lengths, turns.relation)  # (B, K, D)
            if "speech" in needed:
                heard = self.speech_context(*voices, turns.lengths, turns.relation)  # (B, K, D)
            text, speech = self.text_context.scores(read), self.speech_context.scores(heard)  # (B, K, C), (B, K, C)
            states = {"text": read, "speech": heard}
            if self.config.conversation.residual:  # Stage I has said all of a modality's only turn
                text = text.masked_fill(_has_only_one(turns.text_missing), 0.0)  # (B, K, C)
                text = text + _present(self.text_head(turns.text), turns.text_missing)  # (B, K, C)
                speech = speech.masked_fill(_has_only_one(turns.speech_missing), 0.0)  # (B, K, C)
                speech = speech + _present(self.speech_head(turns.speech), turns.speech_missing)  # (B, K, C)
        evidence = _present(text.log_softmax(dim=-1), turns.text_missing)  # (B, K, C)
        evidence = evidence + _present(speech.log_softmax(dim=-1), turns.speech_missing)  # (B, K, C)
        if self.config.stage < 3 or "fused" not in needed:
            return Scores(text, speech, evidence, states)
        states["fused"] = self.co_attention(read, heard, turns.text_missing, turns.speech_missing)  # (B, K, D)
        fused = self.co_attention.classify(states["fused"])  # (B, K, C)
        if self.config.conversation.residual:  # of a turn with one modality, Stage II has said what there is to say
            alone = turns.text_missing ^ turns.speech_missing  # (B, K)
            fused = evidence + _present(fused, alone)  # (B, K, C)
        return Scores(text, speech, fused, states)

    def _needed(self, turns: Conversations) -> set[str]:
        """Which states some score depends on: "text", "speech", "fused".

        With ``residual``, a modality that no turn has, and the fusion where every turn has just one, change nothing.
        """
        has_one = turns.text_missing ^ turns.speech_missing | turns.padding  # (B, K)
        if not self.config.conversation.residual or not bool(has_one.all()):
            return {"text", "speech", "fused"}
        missing = {"text": turns.text_missing, "speech": turns.speech_missing}
        return {name for name, nowhere in missing.items() if not bool(nowhere.all())}

    def probabilities(self, turns: Conversations) -> Tensor:
        """Calibrated probabilities of every turn -> (B, K, C)."""
        return self._calibrated(turns, self(turns, with_states=False))

    def _calibrated(self, turns: Conversations, scores: Scores) -> Tensor:
        """(B, K, C)."""
        return (scores.fused / self.temperatures(turns).unsqueeze(-1)).softmax(dim=-1)  # (B, K, C)

    def temperatures(self, turns: Conversations) -> Tensor:
        """(B, K) what the scores of every turn are divided by."""
        text, speech = self._own_temperatures(turns)  # (B, 1), (B, 1)
        one = torch.where(turns.text_missing, speech, text)  # (B, K)
        return torch.where(turns.text_missing | turns.speech_missing, one, self.config.calibration.both)  # (B, K)

    def _own_temperatures(self, turns: Conversations) -> tuple[Tensor, Tensor]:
        """Of words alone and of the voice alone, (B, 1) each.

        With ``residual``, the only turn with a modality has Stage I's scores, which are calibrated already.
        """
        by_stage_one = self.config.conversation.residual and self.config.stage > 1
        fitted = self.config.calibration
        each = ((turns.text_missing, fitted.text), (turns.speech_missing, fitted.speech))
        text, speech = (torch.where(_has_only_one(missing)[:, 0] & by_stage_one, 1.0, own) for missing, own in each)
        return text, speech

    def collate(self, conversations: Sequence[Sequence[TurnEmbedding]]) -> Conversations:
        """Conversations of embedded turns as a batch that this network reads."""
        return collate(conversations, self.text_head.embedding, self.speech_head.embedding, self.device)

    # -- a conversation that goes on ------------------------------------------------------------------------------

    def new_context(self, turns: int | None = None) -> RollingContext:
        """An empty memory of the last ``turns`` turns, the bundle's own number by default."""
        return RollingContext(self.default_context if turns is None else turns, self.fingerprint)

    def restore_context(self, snapshot: bytes) -> RollingContext:
        """A memory as it was when ``RollingContext.to_bytes`` was called. Raises ``SnapshotError``."""
        widths = (self.text_head.embedding, self.speech_head.embedding)
        return RollingContext.from_bytes(snapshot, self.fingerprint, widths, self.labels, self.device)

    def estimate(self, context: RollingContext, turn: TurnEmbedding) -> EmotionEstimate:
        """Score the newest turn, given the turns before it, and remember it in ``context``.

        Raises:
            ValueError: neither voice nor words were heard.
        """
        return self.update(context, turn)[0]

    def update(self, context: RollingContext, turn: TurnEmbedding) -> tuple[EmotionEstimate, list[Revision]]:
        """The same as ``estimate``, and what the newest turn changes about earlier ones, oldest first."""
        return self.update_batch([(context, turn)])[0]

    @torch.inference_mode()
    def update_batch(
        self, newest: Sequence[tuple[RollingContext, TurnEmbedding]]
    ) -> list[tuple[EmotionEstimate, list[Revision]]]:
        """The same for the newest turns of several conversations at once, the same as alone but for rounding.

        Where it raises, no conversation remembers anything of it.
        """
        if any(turn.speech is None and turn.text is None for _, turn in newest):
            raise ValueError("a turn needs speech, text or both")
        windows = [[*context.turns[-(context.size - 1) :], turn][-context.size :] for context, turn in newest]
        turns = self.collate(windows)
        scores: Scores = self(turns, with_states=False)
        believed = self._calibrated(turns, scores).tolist()  # (B, K, C)
        without = self._ablated(windows, turns, scores)
        return [
            self._remember(*each, believed[row][: len(windows[row])], without[row]) for row, each in enumerate(newest)
        ]

    def _remember(
        self,
        context: RollingContext,
        turn: TurnEmbedding,
        believed: Sequence[Sequence[float]],
        without: dict[Part, Sequence[float]],
    ) -> tuple[EmotionEstimate, list[Revision]]:
        """Of K turns, what is believed, (C,) each, and of the newest, what would be without some of it, (C,) each."""
        newest = self._estimated(believed[-1])
        emotion = self.labels.index(newest.emotion)
        newest = replace(newest, why={part: newest.confidence - rest[emotion] for part, rest in without.items()})
        context.append(turn, newest.emotion)
        revisions = []
        for place, published in enumerate(context.published[:-1]):
            revised = self._estimated(believed[place])
            lead = revised.confidence - believed[place][self.labels.index(published)]
            if lead >= REVISION_MARGIN:
                context.republish(place, revised.emotion)
                revisions.append(Revision(len(believed) - 1 - place, revised))
        return newest, revisions

    @torch.inference_mode()
    def score_dialogue(self, turns: Sequence[TurnEmbedding]) -> list[EmotionEstimate]:
        """Score a conversation that has ended, each turn seeing all others."""
        if not turns:
            return []
        return [self._estimated(each) for each in self.probabilities(self.collate([turns]))[0].tolist()]

    def _ablated(
        self, windows: Sequence[Sequence[TurnEmbedding]], turns: Conversations, scores: Scores
    ) -> list[dict[Part, Sequence[float]]]:
        """What would be believed of each newest turn without its voice, its words, the turns before it: (C,) each.

        Args:
            windows: of each conversation the turns up to the newest.
            turns: those, as a batch.
            scores: of those.
        """
        without: list[dict[Part, Sequence[float]]] = [{} for _ in windows]
        variants: list[tuple[int, Part, list[TurnEmbedding]]] = []
        read, heard = self._own_temperatures(turns)  # (B, 1), (B, 1)
        for row, (*past, newest) in enumerate(windows):
            if newest.speech is not None and newest.text is not None and self._adds_up:
                text, speech = scores.text[row, len(past)], scores.speech[row, len(past)]  # (C,), (C,)
                without[row]["speech"] = (text / read[row]).softmax(dim=0).tolist()
                without[row]["text"] = (speech / heard[row]).softmax(dim=0).tolist()
            else:
                if newest.speech is not None:
                    variants.append((row, "speech", [*past, replace(newest, speech=None)]))
                if newest.text is not None:
                    variants.append((row, "text", [*past, replace(newest, text=None)]))
            if past:
                variants.append((row, "context", [newest]))
        if variants:
            believed = self.probabilities(self.collate([rest for _, _, rest in variants])).tolist()  # (B, K, C)
            for (row, part, rest), found in zip(variants, believed, strict=True):
                without[row][part] = found[len(rest) - 1]
        return without

    @property
    def _adds_up(self) -> bool:
        """Whether a turn with one modality is scored as that alone is where both were heard."""
        return self.config.stage < 3 or self.config.conversation.residual

    def _estimated(self, probabilities: Sequence[float]) -> EmotionEstimate:
        """(C,) -> what is said of the turn."""
        confidence = max(probabilities)
        emotion = probabilities.index(confidence)
        return EmotionEstimate(
            probabilities=tuple(probabilities),
            labels=self.labels,
            emotion=self.labels[emotion],
            confidence=confidence,
            uncertain=confidence < self.config.uncertain_below,
            why={},
        )


def _has_only_one(missing: Tensor) -> Tensor:
    """(B, K) True where a turn lacks a modality -> (B, 1, 1) True for conversations in which a single turn has it."""
    return ((~missing).sum(dim=1) == 1)[:, None, None]  # (B, 1, 1)


def _present(scores: Tensor, missing: Tensor) -> Tensor:
    """(B, K, C) scores of a modality, zero where (B, K) it is missing."""
    return scores.masked_fill(missing.unsqueeze(-1), 0.0)
