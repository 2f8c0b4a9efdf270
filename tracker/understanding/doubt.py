"""When an estimate is not to be relied on: what is known of the sound, and what the words have to do with it.

Measured with `mini`, the first two by the network before, on five minutes of a talk and ten half minutes of meetings,
where nobody is unhappy, and on 222 clips of talk shows:

- Of 113 turns 20 were certainly sad, afraid, angry or disgusted by voice alone. Eleven of them were short, mostly
  spoken at the same time as others, or hardly sounded like speech.
- With Moonshine's words 15 were, seven of them such turns; most of the others had words that speak against it or that
  were hardly understood, at a confidence below .7.
- Of the talk shows' clips that were called something with .53 or more, 68 % were right; with .9 or more, 89 %.
- With .9 wanted of a voice by itself, 1 of the turns is certainly unhappy by voice alone, and 1 with words.
- Of lines to which the words by themselves give less than .3 for neutral, people call 13 % neutral in MELD (of 549 in
  dev) and 29 % in DailyDialog (of 3,490), so that a flat voice tells little of them: most people say most things so.
"""

from __future__ import annotations

from typing import Final

from emotrack.models.context import EmotionEstimate
from emotrack.tracker.events import Doubt
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.speakers.division import DROWNED
from emotrack.tracker.understanding.recognisers import Transcript

SHORT_S: Final = 0.8  # of speech: an "okay", an "mm-hm"
_UNCLEAR: Final = 0.75  # mean probability of speech; of 125 clear turns none has less than .80
_SURE_VOICE: Final = 0.9  # confidence of the estimate
_BORNE: Final = 0.3  # probability of the estimate by the words alone
_FLAT: Final = "neutral"
_SURE_WORDS: Final = 0.7  # confidence of the recogniser: the geometric mean of its tokens' probabilities


def doubt(turn: SpeechTurn, overlap: float | None, words: Transcript | None = None) -> Doubt | None:
    """Why the estimate of a turn is not to be relied on, however confident it is; None for no reason.

    Args:
        turn: what was heard.
        overlap: the share of it that others speak in, where somebody looked.
        words: what a recogniser made of it, if it was asked.
    """
    if overlap is not None and overlap >= DROWNED:
        return "overlap"
    if turn.speech_s < SHORT_S:
        return "short"
    if turn.speech_probability < _UNCLEAR:
        return "unclear"
    if words is not None and words.rejected in {"empty", "no_speech"}:
        return "no_words"
    return None


def is_uncertain(estimate: EmotionEstimate, reason: Doubt | None, words: Transcript | None = None) -> bool:
    """Whether an estimate is a guess.

    By the bundle's threshold where ``words`` are known to bear it. Where it is the voice's, because there are none,
    they were hardly understood or say something else, by one that holds for natural voices, too, and that the voice
    must pass by itself. A voice that sounds like nothing in particular never outweighs words that were understood.
    """
    if reason is not None or estimate.uncertain:
        return True
    by_words = _by_words(estimate, words)
    if by_words is not None and by_words >= _BORNE:
        return False
    if by_words is not None and estimate.emotion == _FLAT:
        return True
    by_voice = estimate.confidence - max(estimate.why.get("text", 0.0), 0.0)
    return by_voice < _SURE_VOICE


def _by_words(estimate: EmotionEstimate, words: Transcript | None) -> float | None:
    """What the words by themselves give the estimate; None where there are none or they were hardly understood."""
    if words is None or words.text is None or (words.confidence is not None and words.confidence < _SURE_WORDS):
        return None
    return estimate.confidence - estimate.why.get("speech", 0.0) if "text" in estimate.why else None
