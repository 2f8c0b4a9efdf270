"""faster-whisper: any of its model sizes, a hub id or a CTranslate2 folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import faster_whisper
import huggingface_hub
import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens
from faster_whisper.utils import download_model
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.understanding.recognisers.gates import GateOptions, believed
from emotrack.tracker.understanding.recognisers.transcript import ENGLISH, Transcript

_GATES = GateOptions(min_confidence=0.35)  # a mean log-probability of about -1 per token
_MAX_NO_SPEECH = 0.6  # Whisper's own probability of silence that, with little confidence, rejects
_SURE = 0.6  # confidence that overrules it
_GPU_BATCH = 16  # turns; of 30 s each whatever their length, so memory is bounded
_WINDOW_S = 30.0  # that Whisper hears at a time
_TOKENS_PER_S = 12  # nobody speaks faster; a bound on what an invented text can cost
_SIZES_ON_GPU = ("large-v3-turbo", "large-v3", "large-v2", "medium", "small", "base", "tiny")  # the best first
_SIZES_ON_CPU = ("base", "small", "tiny", "medium", "large-v3-turbo", "large-v3", "large-v2")  # of those that keep pace
_NEEDED = ("config.json", "model.bin", "tokenizer.json")  # where a download broke off, not all are there
_MODEL_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


class FasterWhisper:
    """Whisper on CTranslate2."""

    def __init__(self, choice: str, device: str, threads: int, language: str | None) -> None:
        """Load ``choice`` on ``device`` (auto, cpu or cuda); raises ``RecogniserError`` when it cannot be had."""
        folder = _find(choice)
        if str(folder) != unicode(str(folder)):
            raise RecogniserError(f"{folder}: CTranslate2 reads no folder whose path is not UTF-8")
        try:
            self._model = faster_whisper.WhisperModel(
                str(folder),
                device=device,
                compute_type="auto",  # the fastest that the device has
                cpu_threads=threads,
                num_workers=1,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise RecogniserError(f"{folder} is no CTranslate2 Whisper model: {_first_line(error)}") from error
        if language and not self._model.model.is_multilingual and language != "en":
            raise RecogniserError(f"{choice} knows English only, not {language!r}; choose a model without .en")
        self._language = language
        self.languages: tuple[str, ...] = (language,) if language else tuple(self._model.supported_languages)
        self.name = f"faster-whisper {choice}"
        # Measured with tiny on one core: turns by fours take a fifth more time than one by one.
        self.batch_size = _GPU_BATCH if self._model.model.device == "cuda" else 1

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``, unless a gate rejects them."""
        segments, info = self._model.transcribe(
            turn.samples,
            language=self._language,
            beam_size=1,
            temperature=0.0,  # no second tries: the cost of a turn stays bounded
            condition_on_previous_text=False,
            vad_filter=False,  # already cut into turns
            without_timestamps=True,
            max_new_tokens=_most_tokens(turn.end_s - turn.start_s),
        )
        spoken = list(segments)  # lazy: the work happens here, in the recogniser's own thread
        text = " ".join(segment.text.strip() for segment in spoken).strip()
        confidence = math.exp(sum(s.avg_logprob for s in spoken) / len(spoken)) if spoken else 0.0
        return _believed(turn, text, confidence, min((s.no_speech_prob for s in spoken), default=0.0), info.language)

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """The words of several turns of at most 30 s each, decoded together."""
        # faster-whisper's own batches do not tell which language each of their parts was heard in.
        model = self._model
        mels = [model.feature_extractor(turn.samples)[..., :-1] for turn in turns]  # each (mels, frames)
        heard = model.encode(np.stack([pad_or_trim(mel) for mel in mels]))  # (B, frames, D)
        if self._language or not model.model.is_multilingual:
            languages = [self._language or "en"] * len(turns)
        else:
            languages = [ranked[0][0].strip("<|>") for ranked in model.model.detect_language(heard)]
        tokenizers = {
            language: Tokenizer(model.hf_tokenizer, model.model.is_multilingual, "transcribe", language)
            for language in languages
        }
        prompts = [model.get_prompt(tokenizers[language], [], without_timestamps=True) for language in languages]
        most = len(prompts[0]) + _most_tokens(_WINDOW_S)  # for all, so that none depends on the others' length
        results = model.model.generate(
            heard,
            prompts,
            beam_size=1,
            max_length=min(most, model.max_length),
            suppress_tokens=get_suppressed_tokens(tokenizers[languages[0]], [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )
        transcripts = []
        for turn, language, result in zip(turns, languages, results, strict=True):
            tokens = result.sequences_ids[0]
            text = tokenizers[language].decode(tokens).strip()
            confidence = math.exp(result.scores[0] * len(tokens) / (len(tokens) + 1))  # the end is a token, too
            transcripts.append(_believed(turn, text, confidence, result.no_speech_prob, language))
        return transcripts

    def close(self) -> None:
        """Nothing outlives the object."""


def _most_tokens(seconds: float) -> int:
    return 16 + round(_TOKENS_PER_S * seconds)


def _believed(turn: SpeechTurn, text: str, confidence: float, no_speech: float, language: str) -> Transcript:
    """The words, unless a gate rejects them."""
    rejected = "no_speech" if no_speech > _MAX_NO_SPEECH and confidence < _SURE else None
    return believed(turn, Transcript(text, "faster-whisper", rejected, confidence, language), _GATES)


def best_cached(language: str | None, *, has_gpu: bool) -> str:
    """The size of the best model in the local cache; asks nobody. Raises ``RecogniserError`` where there is none."""
    for size in _SIZES_ON_GPU if has_gpu else _SIZES_ON_CPU:
        for name in (f"{size}.en", size) if language in {None, ENGLISH} else (size,):
            if name in faster_whisper.available_models() and _cached(name):
                return name
    knows = "" if language is None else f" that knows {language!r}"
    raise RecogniserError(
        f"no faster-whisper model{knows} is in the local cache, and only one that is named is downloaded: --asr base"
    )


def _find(choice: str) -> Path:
    """The model's folder: as given, from the local cache, or downloaded with a progress bar on stderr."""
    given = Path(choice).expanduser()
    if given.is_dir():
        if missing := list(_missing(given)):
            raise RecogniserError(f"{choice} holds no {missing[0]}; it is no CTranslate2 model folder")
        return given
    if "/" not in choice and choice not in faster_whisper.available_models():
        sizes = ", ".join(faster_whisper.available_models())
        raise RecogniserError(f"no folder and no faster-whisper size is called {choice!r}; sizes: {sizes}")
    if given.is_absolute() or choice.startswith(("./", "../", "~")):
        raise RecogniserError(f"no such model folder: {choice}")
    if cached := _cached(choice):
        return cached
    try:
        # faster-whisper's own download hides its progress.
        folder = Path(huggingface_hub.snapshot_download(_repository(choice), allow_patterns=_MODEL_FILES))
    except huggingface_hub.errors.HFValidationError as error:
        raise RecogniserError(f"{choice!r} is neither a folder nor a hub id") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RecogniserError(
            f"the recogniser {choice} is not cached and cannot be downloaded: {_first_line(error)}"
        ) from error
    if missing := list(_missing(folder)):  # without a network, what broke off is all there is
        raise RecogniserError(f"the recogniser {choice} is not cached and cannot be downloaded: no {missing[0]}")
    return folder


def _cached(choice: str) -> Path | None:
    """The folder of a size or hub id in the local cache, if all of the model is there."""
    try:
        folder = Path(download_model(choice, local_files_only=True))
    except (LocalEntryNotFoundError, huggingface_hub.errors.HFValidationError):
        return None
    return None if any(_missing(folder)) else folder


def _missing(folder: Path) -> Iterator[str]:
    """The files that a model needs and that are not there. faster-whisper would ask the hub for a tokenizer."""
    return (name for name in _NEEDED if not (folder / name).is_file())


def _repository(choice: str) -> str:
    """The hub id of a size, read off the one place where faster-whisper keeps them."""
    from faster_whisper.utils import _MODELS

    return str(_MODELS.get(choice, choice))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
