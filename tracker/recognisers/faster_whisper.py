"""faster-whisper: any of its model sizes, a hub id or a CTranslate2 folder."""

from __future__ import annotations

import math
from pathlib import Path

import faster_whisper
import huggingface_hub
from faster_whisper.utils import download_model
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.listener import SpeechTurn
from emotrack.tracker.recognisers import Transcript
from emotrack.tracker.recognisers.gates import GateOptions, Rejection, rejection

_GATES = GateOptions(min_confidence=0.35)  # a mean log-probability of about -1 per token
_MAX_NO_SPEECH = 0.6  # Whisper's own probability of silence that, with little confidence, rejects
_SURE = 0.6  # confidence that overrules it
_TOKENS_PER_S = 12  # nobody speaks faster; a bound on what an invented text can cost
_MODEL_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


class FasterWhisper:
    """Whisper on CTranslate2."""

    def __init__(self, choice: str, device: str, threads: int, language: str | None) -> None:
        """Load ``choice`` on ``device`` (auto, cpu or cuda); raises ``RecogniserError`` when it cannot be had."""
        folder = _find(choice)
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
        self.name = f"faster-whisper {choice}"

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``, unless a gate rejects them."""
        seconds = turn.end_s - turn.start_s
        segments, _ = self._model.transcribe(
            turn.samples,
            language=self._language,
            beam_size=1,
            temperature=0.0,  # no second tries: the cost of a turn stays bounded
            condition_on_previous_text=False,
            vad_filter=False,  # already cut into turns
            without_timestamps=True,
            max_new_tokens=16 + round(_TOKENS_PER_S * seconds),
        )
        spoken = list(segments)  # lazy: the work happens here, in the recogniser's own thread
        text = " ".join(segment.text.strip() for segment in spoken).strip()
        confidence = math.exp(sum(s.avg_logprob for s in spoken) / len(spoken)) if spoken else 0.0
        rejected: Rejection | None
        if spoken and min(s.no_speech_prob for s in spoken) > _MAX_NO_SPEECH and confidence < _SURE:
            rejected = "no_speech"
        else:
            rejected = rejection(text, confidence, turn.speech_probability, seconds, _GATES)
        return Transcript(None if rejected else text, None if rejected else "faster-whisper", rejected)

    def close(self) -> None:
        """Nothing outlives the object."""


def _find(choice: str) -> Path:
    """The model's folder: as given, from the local cache, or downloaded with a progress bar on stderr."""
    given = Path(choice).expanduser()
    if given.is_dir():
        if not (given / "model.bin").is_file():
            raise RecogniserError(f"{choice} holds no model.bin; it is no CTranslate2 model folder")
        return given
    if "/" not in choice and choice not in faster_whisper.available_models():
        sizes = ", ".join(faster_whisper.available_models())
        raise RecogniserError(f"no folder and no faster-whisper size is called {choice!r}; sizes: {sizes}")
    if given.is_absolute() or choice.startswith(("./", "../", "~")):
        raise RecogniserError(f"no such model folder: {choice}")
    try:
        return Path(download_model(choice, local_files_only=True))
    except (LocalEntryNotFoundError, huggingface_hub.errors.HFValidationError):
        pass  # not cached yet
    try:
        # faster-whisper's own download hides its progress.
        return Path(huggingface_hub.snapshot_download(_repository(choice), allow_patterns=_MODEL_FILES))
    except huggingface_hub.errors.HFValidationError as error:
        raise RecogniserError(f"{choice!r} is neither a folder nor a hub id") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RecogniserError(
            f"the recogniser {choice} is not cached and cannot be downloaded: {_first_line(error)}"
        ) from error


def _repository(choice: str) -> str:
    """The hub id of a size, read off the one place where faster-whisper keeps them."""
    from faster_whisper.utils import _MODELS

    return str(_MODELS.get(choice, choice))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
