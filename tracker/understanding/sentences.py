"""Whether somebody has said what they had to say, or anything at all, as far as words tell."""

from __future__ import annotations

import re
from typing import Final, get_args

from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.doubt import SHORT_S
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.recognisers.gates import Rejection

# Recognisers write a full stop wherever the sound ends. After these English words a sentence goes on, or its speaker is
# still thinking; where another language has one of them at its end, it is waited for as ever.
_GOING_ON: Final = """
a an the my your his its our their this these some any
and or but nor so because although though while if unless until when where whether than as since that which who
of to in on at by for from with without into about between through
i he she we they i'm you're he's she's it's we're they're there's that's i'll we'll i've we've i'd
is am are was were be been will would can could should must may might have has had not very really just like
ah hmm mm well mr mrs ms dr
"""
_HESITATIONS: Final = frozenset({"um", "uh", "uhm", "er", "erm"})
_GOES_ON: Final = _HESITATIONS.union(_GOING_ON.split())
_CLOSING: Final = "\"')\u2019\u201d\u00bb "


def is_finished(words: str) -> bool:
    """Whether ``words``, recognised of what was said so far, are a whole sentence."""
    said = words.rstrip(_CLOSING)
    if said.endswith(("...", "…")) or not said.endswith((".", "?", "!")):
        return False
    last = words_of(said)[-1:]
    return bool(last) and last[0] not in _GOES_ON


def says_nothing(turn: SpeechTurn, words: Transcript, *, borders: bool) -> bool:
    """Whether what one of several people is heard to say is no turn: hardly longer than a breath, and without a word.

    An "um" is none. A sound of which a recogniser makes no words may be a short answer in a noisy room; where it
    ``borders`` on what others say, without a silence between, it is laughter or a breath that segmentation has cut out.
    """
    if turn.speech_s >= SHORT_S:
        return False
    if words.text is None:
        return borders and words.rejected in get_args(Rejection)
    return _HESITATIONS.issuperset(words_of(words.text))


def words_of(said: str) -> list[str]:
    """The words of what was said, in small letters."""
    return re.findall(r"[\w']+", said.casefold().replace("\u2019", "'"))
