"""From an audio file to its turns, as the live tracker hears them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk
from emotrack.tracker.errors import SourceError
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.sources.decoder import AudioFile, Decoded
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import Chunker, usable
from emotrack.train.pretraining.corpus.audio_files import AudioClip

CHUNK_SAMPLES = SAMPLE_RATE  # heard at a time


class UnusableAudioError(Exception):
    """A file that is no audio, or not all of it; the message is why."""


class FileTurns(Protocol):
    """The turns of one clip, in order. Going through them raises ``UnusableAudioError`` where the clip is bad."""

    clip: AudioClip

    def __iter__(self) -> Iterator[SpeechTurn]: ...


class HearingStep:
    """Turns that are cut while they are taken: a day of audio needs no more memory than a minute."""

    def __init__(self, clip: AudioClip, options: SegmenterOptions) -> None:
        self.clip = clip
        self._options = options

    def __iter__(self) -> Iterator[SpeechTurn]:
        listener = Listener(0, self._options)
        for chunk in _chunks(self.clip):
            yield from listener.push(chunk.samples[:, 0], chunk.start)
        yield from listener.flush()

    def __reduce__(self) -> tuple[type[AllHeard], tuple[AudioClip, list[SpeechTurn], str | None]]:
        """On the way to another process all of them are cut, as an open file cannot be sent."""
        try:
            return AllHeard, (self.clip, list(self), None)
        except UnusableAudioError as error:
            return AllHeard, (self.clip, [], str(error))


class AllHeard:
    """Turns that came from another process."""

    def __init__(self, clip: AudioClip, turns: list[SpeechTurn], unusable: str | None) -> None:
        self.clip = clip
        self._turns = turns
        self._unusable = unusable

    def __iter__(self) -> Iterator[SpeechTurn]:
        if self._unusable is not None:
            raise UnusableAudioError(self._unusable)
        yield from self._turns


class Cut:
    """The step from clips to their turns: decoding and the live tracker's voice activity detection."""

    def __init__(self, options: SegmenterOptions) -> None:
        self._options = options

    def __call__(self, clips: Sequence[AudioClip]) -> list[FileTurns]:
        return [HearingStep(clip, self._options) for clip in clips]


def _chunks(clip: AudioClip) -> Iterator[AudioChunk]:
    """A file's audio, all channels mixed, on a clock that begins with it. Raises ``UnusableAudioError``."""
    chunker, mixer = Chunker(1, CHUNK_SAMPLES), Mixer()
    try:
        with AudioFile(clip.path) as file:
            for piece in file.read():
                if isinstance(piece, Decoded):
                    yield from chunker.push(mixer.mix(usable(piece.samples)[0], piece.rate), piece.rate)
                elif piece.why not in {"late", "early"}:
                    yield from chunker.skip(piece.seconds)
        yield from chunker.flush()
    except SourceError as error:
        raise UnusableAudioError(str(error).removeprefix(f"{clip.path}: ")) from error
    except Exception as error:  # whatever a library makes of a bad file, the others are still good
        raise UnusableAudioError(f"{type(error).__name__}: {error}") from error
    if not chunker.position:
        raise UnusableAudioError("contains no samples")
