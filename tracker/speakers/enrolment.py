"""Hears a person who speaks alone and makes the print by which the voice is known again; keeps none of the audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import AudioChunk, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.speakers.channel_voices import ChannelVoices
from emotrack.tracker.speakers.clusters import RELIABLE_S, Speakers
from emotrack.tracker.speakers.networks import WINDOW, SpeakerNetworks, VoicePrint, of_length_one

LEAST_S: Final = 5.0  # of clean speech that a print to be kept takes
ENOUGH_S: Final = 120.0  # of it, after which more would hardly change the print
MOST_OF_OTHERS: Final = 0.15  # of the clean speech; a voice that changes much is sometimes taken for two
LIKE_THE_REST: Final = 0.5  # similarity of a print to the mean of all: a person's is .67 and more, another's about .3


@dataclass(frozen=True, slots=True)
class _OwnTurn:
    """What one voice says in one turn."""

    voice_print: VoicePrint
    clean_s: float


class Enrolment:
    """Hears one channel, tells voices apart as a session does, and keeps of each turn its print alone."""

    def __init__(self, networks: SpeakerNetworks) -> None:
        self._networks = networks
        self._listener = Listener(0, SegmenterOptions(), WINDOW)
        self._voices = ChannelVoices(self._listener, self._segment, self._print)
        self._speakers = Speakers()
        self._turns: list[_OwnTurn] = []
        self._speaker_of: dict[int, str | None] = {}  # by place in these

    @property
    def clean_s(self) -> float:
        """Seconds of speech so far that nobody else spoke in."""
        return sum(turn.clean_s for turn in self._turns)

    async def hear(self, chunk: AudioChunk) -> None:
        """Take the next chunk, (samples, 1)."""
        ended = self._listener.push(chunk.samples[:, 0], chunk.start)
        for turn in ended:
            await self._voices.finish(turn)
        for turn in [*ended, *await self._voices.look()]:
            await self._take(turn)

    async def finish(self) -> tuple[VoicePrint, float]:
        """The print of the person who was heard, and of how many seconds of clean speech it is.

        The print is the mean of those of turns, (numbers,), each of length 1: the longer, the more alike they are.

        Raises:
            EmotrackError: there was too little speech, or that of more than one person.
        """
        for turn in self._listener.flush():
            await self._voices.finish(turn)
            await self._take(turn)
        if self.clean_s < LEAST_S:
            raise EmotrackError(
                f"only {self.clean_s:.1f} s of clear speech were heard, and a voice print takes {LEAST_S:g}"
            )
        shares: dict[str | None, float] = {}
        for place, own_turn in enumerate(self._turns):
            speaker = self._speaker_of[place]
            shares[speaker] = shares.get(speaker, 0.0) + own_turn.clean_s
        person = max(shares, key=shares.__getitem__)
        if shares[person] < (1.0 - MOST_OF_OTHERS) * self.clean_s:
            raise EmotrackError(
                f"{len(shares)} voices were heard, the one that speaks most in {shares[person] / self.clean_s:.0%} of "
                f"the speech: somebody is enrolled alone"
            )
        own = [turn for place, turn in enumerate(self._turns) if self._speaker_of[place] == person]
        roughly = _mean(own)
        # A few words of somebody else are no speaker yet, and may be counted as this person's.
        own = [turn for turn in own if turn.voice_print @ roughly >= LIKE_THE_REST * np.linalg.norm(roughly)]
        return _mean(own), sum(turn.clean_s for turn in own)

    async def _segment(self, samples: Samples) -> NDArray[np.bool_]:
        return self._networks.segmentation(samples)

    async def _print(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        return self._networks.prints(samples, clean)

    async def _take(self, turn: SpeechTurn) -> None:
        for voiced in self._voices.divide(turn):
            voice_print = await voiced.print(self._print)
            if voice_print is None or voiced.clean_s < RELIABLE_S:
                continue
            place = len(self._turns)
            self._turns.append(_OwnTurn(of_length_one(voice_print.mean), voiced.clean_s))
            found = self._speakers.hear(place, voice_print, voiced.clean_s, like=None, apart=())
            self._speaker_of[place] = found.speaker
            for known, speaker in self._speaker_of.items():
                self._speaker_of[known] = found.merged.get(speaker or "", speaker)
            self._speaker_of.update(found.revised)


def _mean(turns: list[_OwnTurn]) -> VoicePrint:
    weights = [turn.clean_s for turn in turns]
    mean: VoicePrint = np.average([turn.voice_print for turn in turns], axis=0, weights=weights).astype(np.float32)
    return mean
