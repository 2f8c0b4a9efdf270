"""Between hearing and understanding: who says a turn, where another speaker begins within it, and words that are given.

A turn of one channel may hold the words of several people. Here it is cut into parts of one speaker each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.sources import ChannelSpeakers
from emotrack.tracker.speakers.channel_voices import ChannelVoices, VoicedTurn
from emotrack.tracker.speakers.division import DROWNED
from emotrack.tracker.speakers.pieces import PrintVoice, TurnPrint
from emotrack.tracker.understanding.captions import CaptionedTurn, Captions
from emotrack.tracker.understanding.interpreter import Interpreter, TurnWork
from emotrack.tracker.understanding.recognisers import Transcript

OVERLAP: Final = "overlap"  # why a turn has no words whose voice another one drowns


@dataclass(frozen=True, slots=True)
class AttributedTurn:
    """A stretch of speech, and who says it."""

    turn: SpeechTurn
    words: Transcript | None
    """None when they are to be recognised."""
    speaker: str | None
    """None where that is not known yet, or at all."""
    voiced: VoicedTurn | None = None
    """Where voices are told apart: whose voice it is."""


class Attribution:
    """Attributes turns to speakers: by captions, else by channels where there are several, else by voice.

    Of a turn with a caption the voice is told, too: it is known again where no caption tells who speaks.
    """

    def __init__(
        self,
        speakers: tuple[ChannelSpeakers, ...],
        captions: Captions | None,
        voices: Callable[[int], ChannelVoices | None],
    ) -> None:
        """``speakers`` of each channel; ``voices`` are those on a channel, None where they are not told apart."""
        self._speakers = speakers
        self._voices = voices
        self._captions = captions

    @property
    def gives_words(self) -> bool:
        """Whether words are given, so that none need be recognised."""
        return self._captions is not None

    def attribute(self, turn: SpeechTurn) -> list[AttributedTurn]:
        """The parts of a ``turn`` that has ended, in order; call it once for each turn, in the order of their ends."""
        return self._parts(turn, has_ended=True)

    def preview(self, turn: SpeechTurn) -> list[AttributedTurn]:
        """The parts of a ``turn`` that may go on, as they are if it ends now; nothing of it is remembered."""
        return self._parts(turn, has_ended=False)

    def _parts(self, turn: SpeechTurn, *, has_ended: bool) -> list[AttributedTurn]:
        name = self._speakers[turn.channel].name
        voices = self._voices(turn.channel)
        if self._captions is None:
            if voices is not None:
                return [_by_voice(voiced) for voiced in voices.divide(turn)]
            return [AttributedTurn(turn, None, name)]
        parts = self._captions.caption(turn) if has_ended else self._captions.preview(turn)
        return [each for part in parts for each in _captioned(part, name, voices)]


def _by_voice(voiced: VoicedTurn) -> AttributedTurn:
    words = Transcript(None, None, rejected=OVERLAP) if voiced.overlap >= DROWNED else None
    return AttributedTurn(voiced.turn, words, None, voiced)


def _captioned(part: CaptionedTurn, name: str | None, voices: ChannelVoices | None) -> list[AttributedTurn]:
    """A turn, or a part of one, as captions have it; where none tell anything of it, each voice's own."""
    words = Transcript(part.text, "captions" if part.text else None)
    if voices is None:
        return [AttributedTurn(part.turn, words, part.speaker or name)]
    if part.text is None and part.speaker is None:
        return [AttributedTurn(voiced.turn, words, None, voiced) for voiced in voices.divide(part.turn)]
    return [AttributedTurn(part.turn, words, part.speaker, voices.whole(part.turn))]


def begin(
    interpreter: Interpreter, attributed: AttributedTurn, words: Transcript | None = None, *, by_sentence: bool
) -> TurnWork:
    """Begin with what is attributed; ``words`` take the place of its own.

    With ``by_sentence`` a turn whose voice is told apart, and whose words are recognised, may be told so.
    """
    voiced = attributed.voiced
    if voiced is None:
        return interpreter.begin(attributed.turn, words or attributed.words)

    async def make_print(turn: SpeechTurn, print_voice: PrintVoice) -> TurnPrint | None:
        return await voiced.part(turn).print(print_voice)

    return interpreter.begin(attributed.turn, words or attributed.words, make_print, by_sentence=by_sentence)


def sentence(attributed: AttributedTurn, work: TurnWork) -> AttributedTurn:
    """What is attributed, or the sentence of it that the ``work`` is on."""
    whole, voiced = attributed.turn, attributed.voiced
    if (work.turn.start, work.turn.end) == (whole.start, whole.end):
        return attributed
    turn = replace(work.turn, decided=whole.decided)  # its work may have begun before the end was known
    return replace(attributed, turn=turn, words=work.given_words, voiced=voiced and voiced.part(turn))
