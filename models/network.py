"""The network: MERITS-L (Dutta and Ganapathy, arXiv 2501.11468, Fig. 2), run over a rolling window of turns.

    words -> text encoder   -> Stage I head -> Stage II context network -+
                                                                         +-> Stage III co-attention -> emotion
    voice -> speech encoder -> Stage I head -> Stage II context network -+

It carries its own specification (labels, sample rate, context), so that a program that runs it needs nothing else.
Encoding (``embed_speech``, ``embed_text``) and scoring are apart: the encoders may run in different threads, a turn is
encoded once, and its embeddings are joined, turn by turn, in the order of the conversation. A conversation that goes on
is the ``scorer``'s.

Notation: B batch, K turns, C labels, E embedding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.baseline import Baseline, VoiceSums
from emotrack.models.baseline_head import BaselineHead, build_speech_head, measured
from emotrack.models.bounds import MAX_SAMPLE, MAX_SPEECH_S, MIN_SPEECH_S
from emotrack.models.co_attention import CoAttention, NoFusion
from emotrack.models.config import NetworkConfig
from emotrack.models.context_network import ContextNetwork, NoContext
from emotrack.models.conversation import ConversationBatch, TurnEmbedding, collate, only_one, where_heard
from emotrack.models.encoders import build_speech_encoder, build_text_encoder
from emotrack.models.front_end import padding_mask
from emotrack.models.given import GivenSpeech, GivenText
from emotrack.models.heads import TextHead
from emotrack.models.labels import affect_of
from emotrack.models.pretrained import Pretrained
from emotrack.models.second_opinion import SecondOpinion
from emotrack.models.shapes import with_few_lengths, with_few_rows
from emotrack.models.text_encoder import TextConfig, TextEncoder, read_turn
from emotrack.models.transformer import TransformerLayer
from emotrack.models.whisper import WhisperFrontEnd

HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
DEPARTURE = 0.5  # of what a voice sounds like from what it is taken for, as far as that is believed


@dataclass(frozen=True, slots=True)
class TurnScores:
    """Scores of every turn in a batch of conversations, before the softmax."""

    text: Tensor  # (B, K, C) from words alone; meaningless where they are missing
    speech: Tensor  # (B, K, C) from the voice alone; meaningless where it is missing
    fused: Tensor  # (B, K, C)
    states: dict[str, Tensor]  # (B, K, D) that the classifiers of stages II and III read, by the names above


class EmotionNetwork(Pretrained):
    """Voice and words of a turn, and the turns around it -> how likely each emotion is."""

    def __init__(self, config: NetworkConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        labels = len(config.labels)
        self.text_encoder = build_text_encoder(config.text)
        self.text_head = TextHead(self.text_encoder.width, labels)
        self.second_opinion: SecondOpinion | None = None
        if config.second_opinion and isinstance(config.text, TextConfig):
            self.second_opinion = SecondOpinion(config.text.vocabulary, labels)
        self.speech_encoder = build_speech_encoder(config.speech)
        self.speech_head = build_speech_head(self.speech_encoder, labels, config.speech_head)
        relates, fuses = config.stage >= 2, config.stage >= 3
        told = self.speech_head.views if isinstance(self.speech_head, BaselineHead) else self.speech_head.embedding
        each, options = (self.text_head.embedding, told), config.conversation
        self.text_context, self.speech_context = (
            ContextNetwork(embedding, labels, options) if relates else NoContext() for embedding in each
        )
        self.co_attention = CoAttention(self.text_context.width, labels, options) if fuses else NoFusion()
        affect = affect_of(config.labels)
        self.label_affect: Tensor | None  # (C, 2), not among the weights
        self.register_buffer("label_affect", None if affect is None else torch.tensor(affect), persistent=False)

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
    def text_width(self) -> int:
        """Numbers that ``embed_text`` tells of a turn: Stage I's embedding, and what a second opinion is made of."""
        return self.text_head.embedding + (self.second_opinion.width if self.second_opinion else 0)

    @property
    def device(self) -> torch.device:
        return self.text_head.classify.weight.device

    def store_in_half(self) -> None:
        """Keep encoders in half precision where that is quicker or smaller, for inference alone.

        A bundle is loaded in full width, so that training and its features are the same on every machine; whoever only
        tracks or measures calls this next. It moves a probability by less than noise does.
        """
        for module in self.modules():
            if isinstance(module, TextEncoder | TransformerLayer | WhisperFrontEnd):
                module.store_in_half()

    # -- Stage I: a turn is encoded once --------------------------------------------------------------------------

    def embed_speech(self, waveform: NDArray[np.float32]) -> Tensor:
        """Encode the voice of one turn: (samples,) mono at ``sample_rate`` -> (V,), the head's ``voice`` numbers.

        Raises:
            ValueError: not one channel, not 0.1 to 30 s long, or samples that are not finite, or beyond 1e6.
        """
        return self.embed_speech_batch([waveform])[0]

    @torch.inference_mode()
    def embed_speech_batch(self, waveforms: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """The same for several turns at once: (samples,) each -> (V,) each, the same as alone but for rounding.

        The longest decides the cost of the batch.
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
        """(samples,) -> (T0, ...) the speech encoder's input."""
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"a waveform is one-dimensional, not of shape {samples.shape}")
        seconds = len(samples) / self.sample_rate
        if not MIN_SPEECH_S <= seconds <= MAX_SPEECH_S:
            raise ValueError(f"a waveform lasts {MIN_SPEECH_S} to {MAX_SPEECH_S} s, not {seconds:.2f} s")
        if not (np.abs(samples) <= MAX_SAMPLE).all():
            raise ValueError(f"a waveform holds finite numbers only, none beyond {MAX_SAMPLE:g}")
        return self.speech_encoder.prepare(torch.tensor(samples, device=self.device))  # (T0, ...)

    def embed_text(self, text: str, before: Sequence[str | None] = ()) -> Tensor:
        """Encode the words of one turn -> (E',), ``text_width`` numbers. Words past the encoder's limit are left out.

        Args:
            text: the turn's words.
            before: the words of the turns before it, oldest first (``RollingContext.words``).

        Raises:
            ValueError: there are no words, and such a turn has no text at all; or there is half a character in them.
        """
        return self.embed_text_batch([(text, before)])[0]

    @torch.inference_mode()
    def embed_text_batch(self, turns: Sequence[tuple[str, Sequence[str | None]]]) -> list[Tensor]:
        """The same for several turns at once, each with the words before it -> (E',) each."""
        if not all(text.strip() for text, _ in turns):
            raise ValueError("a text without words: leave the text out instead")
        if any(HALF_A_CHARACTER.search(each) for text, before in turns for each in (text, *before) if each):
            raise ValueError("a text with half a character, a surrogate, in it")
        read = [read_turn(self.tokenizer, text, before, self.config.text) for text, before in turns]
        tokens = [torch.tensor(tokens, device=self.device) for tokens, _ in read]  # (N,) each
        lengths = torch.tensor([len(each) for each in tokens], device=self.device)  # (B,)
        own = torch.tensor([own for _, own in read], device=self.device)  # (B,)
        ids = with_few_lengths(nn.utils.rnn.pad_sequence(tokens, batch_first=True), self.config.text.max_tokens)
        if self.has_few_rows:
            ids, lengths, own = with_few_rows(ids), with_few_rows(lengths), with_few_rows(own)  # (B', N'), (B',), (B',)
        with self._autocast():
            embeddings: Tensor = self.text_encoder(ids, padding_mask(lengths, ids.shape[1]), own)  # (B', E)
        found = embeddings[: len(turns)].float()  # (B, E)
        if self.second_opinion is None:
            return list(found)
        told = [self.second_opinion(ids[1 : own - 1]) for ids, (_, own) in zip(tokens, read, strict=True)]  # (C + 1,)
        return list(torch.cat([found, torch.stack(told)], dim=1))  # (E',) each

    @property
    def has_few_rows(self) -> bool:
        """Whether batches are filled up to a power of two: on a GPU, where a further row costs next to nothing."""
        return self.device.type == "cuda"

    def _autocast(self) -> torch.autocast:
        """bfloat16 where it is quick; embeddings are float32 again."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    # -- Stages II and III ----------------------------------------------------------------------------------------

    def forward(self, turns: ConversationBatch, *, with_states: bool = True) -> TurnScores:
        """Score every turn of a batch of conversations, each turn seeing all others of its conversation.

        Without states, modules on which no score depends are left out.
        """
        needed = {"text", "speech", "fused"} if with_states else self._needed(turns)
        embedded = turns.text[..., : self.text_head.embedding]  # (B, K, E)
        words, voices = (embedded, turns.text_missing), (turns.speech, turns.speech_missing)
        read = heard = turns.text.new_zeros(*turns.text.shape[:2], self.text_context.width)  # (B, K, D)
        if "text" in needed:
            read = self.text_context(*words, turns.lengths, turns.relation)  # (B, K, D)
        if "speech" in needed:
            heard = self.speech_context(*voices, turns.lengths, turns.relation)  # (B, K, D)
        text = self.text_context.scores(read, self.text_head, *words)  # (B, K, C)
        speech = self.speech_context.scores(heard, self.speech_head, *voices)  # (B, K, C)
        alone = turns.text_missing | turns.speech_missing  # (B, K)
        evidence = where_heard(self._evidence(text, alone), turns.text_missing)  # (B, K, C)
        evidence = evidence + where_heard(self._evidence(speech, alone), turns.speech_missing)  # (B, K, C)
        states = {"text": read, "speech": heard}
        if "fused" not in needed:
            return TurnScores(text, speech, evidence, states)
        states["fused"] = self.co_attention(read, heard, turns.text_missing, turns.speech_missing)  # (B, K, D)
        fused = self.co_attention.scores(states["fused"], evidence, self._alone(turns))
        return TurnScores(text, speech, fused, states)

    def _evidence(self, scores: Tensor, alone: Tensor) -> Tensor:
        """(B, K, C) scores of one modality -> what they add to the fusion, log probabilities.

        Where both were heard, ``astray`` bounds it: a voice unlike those of the training may be as sure as it likes,
        and is still one witness of two.
        """
        log_probabilities, astray = scores.log_softmax(dim=-1), self.config.conversation.astray  # (B, K, C)
        if not astray:
            return log_probabilities
        bounded = ((1.0 - astray) * log_probabilities.exp() + astray / scores.shape[-1]).log()  # (B, K, C)
        return torch.where(alone.unsqueeze(-1), log_probabilities, bounded)

    def _alone(self, turns: ConversationBatch) -> Tensor:
        """(B, K) True where Stage II's scores stand.

        With ``residual``, of a turn that has one modality; without, of a conversation that has one modality throughout,
        of which Stage III, learned from both, may have seen none.
        """
        if self.config.conversation.residual:
            return turns.text_missing ^ turns.speech_missing
        one = turns.text_missing.all(dim=1) | turns.speech_missing.all(dim=1)  # (B,)
        return one.unsqueeze(1).expand_as(turns.text_missing)

    def _needed(self, turns: ConversationBatch) -> set[str]:
        """Which states some score depends on: "text", "speech", "fused".

        Where Stage II's scores stand throughout, neither the fusion nor a modality that no turn has changes anything.
        """
        if not bool((self._alone(turns) | turns.padding).all()):
            return {"text", "speech", "fused"}
        missing = {"text": turns.text_missing, "speech": turns.speech_missing}
        return {name for name, nowhere in missing.items() if not bool(nowhere.all())}

    def probabilities(self, turns: ConversationBatch) -> Tensor:
        """Calibrated probabilities of every turn -> (B, K, C)."""
        return self.calibrated(turns, self(turns, with_states=False))

    def calibrated(self, turns: ConversationBatch, scores: TurnScores) -> Tensor:
        """Scores of turns as probabilities -> (B, K, C)."""
        believed = (scores.fused / self.temperatures(turns).unsqueeze(-1)).softmax(dim=-1)  # (B, K, C)
        words_alone = turns.speech_missing & ~turns.text_missing  # (B, K)
        return torch.where(words_alone.unsqueeze(-1), self.asked_again(believed, turns.text), believed)

    def asked_again(self, probabilities: Tensor, words: Tensor) -> Tensor:
        """(..., C) by words alone, (..., E') of those -> (..., C) with the second opinion, if there is one."""
        if self.second_opinion is None:
            return probabilities
        return self.second_opinion.mixed(probabilities, words[..., self.text_head.embedding :])

    def temperatures(self, turns: ConversationBatch) -> Tensor:
        """(B, K) the number by which the scores of every turn are divided."""
        text, speech = self.own_temperatures(turns)  # (B, 1), (B, 1)
        one = torch.where(turns.text_missing, speech, text)  # (B, K)
        return torch.where(turns.text_missing | turns.speech_missing, one, self.config.calibration.both)  # (B, K)

    def own_temperatures(self, turns: ConversationBatch) -> tuple[Tensor, Tensor]:
        """Of words alone and of the voice alone, (B, 1) each.

        Where the only turn with a modality keeps Stage I's scores, those are calibrated already.
        """
        kept, fitted = self.text_context.residual, self.config.calibration
        each = ((turns.text_missing, fitted.text), (turns.speech_missing, fitted.speech))
        text, speech = (torch.where(only_one(missing)[:, None] & kept, 1.0, own) for missing, own in each)
        return text, speech

    def affect(self, turns: Sequence[TurnEmbedding], probabilities: Tensor) -> Tensor | None:
        """How pleasant and how aroused turns sound, each -1 to 1.

        What the labels mean, each by its probability; a voice that sounds more or less so than what it is taken for
        moves that half of the way, where the network has learned to hear it.

        Args:
            turns: N, as they were encoded.
            probabilities: (N, C) of each.

        Returns:
            (N, 2); None where a label has no such meaning.
        """
        if self.label_affect is None:
            return None
        found = probabilities @ self.label_affect  # (N, 2)
        heard = [place for place, turn in enumerate(turns) if turn.speech is not None]
        if heard and isinstance(self.speech_head, BaselineHead):
            voices = torch.stack([turn.speech for turn in turns if turn.speech is not None])  # (H, V)
            moved = DEPARTURE * self.speech_head.departure(voices, self.label_affect)  # (H, 2)
            found.index_add_(0, torch.tensor(heard, device=found.device), moved)
        return found.clamp(-1.0, 1.0)

    def collate(
        self, conversations: Sequence[Sequence[TurnEmbedding]], baselines: Sequence[Baseline | None] | None = None
    ) -> ConversationBatch:
        """Conversations of encoded turns as a batch that this network reads.

        Args:
            conversations: one or more.
            baselines: of each, against which its voices are measured where the network does that; what the turns
                themselves tell of it by default.
        """
        if isinstance(self.speech_head, BaselineHead):
            conversations = measured(self.speech_head, conversations, baselines)
        return collate(conversations, self.text_width, self.speech_head.embedding, self.device)

    def no_baseline(self) -> Baseline | None:
        """That of a conversation of which nothing was heard; None where voices are not measured against one."""
        return Baseline(self.speech_head.nothing()) if isinstance(self.speech_head, BaselineHead) else None

    def note(self, turns: Sequence[TurnEmbedding]) -> list[VoiceSums | None]:
        """What a baseline keeps of each turn, if its voice was heard and voices are measured against one."""
        voices = [turn.speech for turn in turns if turn.speech is not None]
        if not voices or not isinstance(self.speech_head, BaselineHead):
            return [None] * len(turns)
        rows = iter(self.speech_head.note(torch.stack(voices)).rows())
        return [None if turn.speech is None else next(rows) for turn in turns]

    @torch.inference_mode()
    def try_out(self) -> list[float]:
        """See ``Bundled``."""
        given = isinstance(self.speech_encoder, GivenSpeech), isinstance(self.text_encoder, GivenText)
        sound = np.full(self.sample_rate // 4, 0.1, dtype=np.float32)  # (samples,)
        voice = torch.zeros(self.speech_head.voice) if given[0] else self.embed_speech(sound)  # (E,)
        words = torch.zeros(self.text_width) if given[1] else self.embed_text("so am i")  # (E,)
        heard = [TurnEmbedding(voice, words, None), TurnEmbedding(voice, None, None), TurnEmbedding(None, words, None)]
        found: list[float] = self.probabilities(self.collate([[turn] for turn in heard])).flatten().tolist()
        return found
