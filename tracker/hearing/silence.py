"""Why no speech was found: the likeliest reason, from what was heard."""

from __future__ import annotations

from dataclasses import dataclass

from emotrack.tracker.hearing.segmenter import SegmenterOptions

_SILENCE_DBFS = -119.0  # samples that are not all zero are louder
_FAINT_DB = 20.0  # speech whose loudest moment lies no further above the least level of a turn is not found in noise
_SHORT_S = 0.5  # speech that stands alone takes longer, with the silence around it


@dataclass(frozen=True, slots=True)
class SoundHeard:
    """What a session, or one of its channels, was given to hear."""

    seconds: float = 0.0
    """Judged; not what was heard while the session was paused."""
    loudest_dbfs: float = -120.0
    """Level of the loudest frame."""
    speech_s: float = 0.0
    """Of frames that sounded like speech."""

    def __or__(self, other: SoundHeard) -> SoundHeard:
        """What both heard, at the same time."""
        return SoundHeard(
            max(self.seconds, other.seconds),
            max(self.loudest_dbfs, other.loudest_dbfs),
            max(self.speech_s, other.speech_s),
        )


def why_no_speech(heard: SoundHeard, paused_s: float, options: SegmenterOptions, elsewhere: str) -> str:
    """The likeliest reason in half a sentence; ``elsewhere`` names options with which there might be some."""
    hint = f"; another track may have it: {elsewhere}" if elsewhere else ""
    return _reason(heard, paused_s, options) + hint


def _reason(heard: SoundHeard, paused_s: float, options: SegmenterOptions) -> str:
    loudest = f"the loudest moment has {heard.loudest_dbfs:.0f} dBFS"
    reasons = (
        (paused_s > heard.seconds, f"listening was paused for {paused_s:.1f} s of that"),
        (heard.seconds < _SHORT_S, "the sound is too short"),
        (heard.loudest_dbfs <= _SILENCE_DBFS, "digital silence, every sample is zero"),
        (
            heard.loudest_dbfs < options.min_level_dbfs,
            f"the sound is too quiet: {loudest}, and --min-level is {options.min_level_dbfs:g}",
        ),
        (
            heard.speech_s >= options.min_speech_s,
            f"what sounds like speech is too short, or on average quieter than {options.min_level_dbfs:g} dBFS",
        ),
        (
            heard.speech_s > 0,
            f"what sounds like speech is shorter than --min-speech, {options.min_speech_s:g} s",
        ),
        (heard.loudest_dbfs < options.min_level_dbfs + _FAINT_DB, f"the sound is very quiet: {loudest}"),
        (True, f"{loudest}, but nothing sounds like speech; this may be music or noise"),
    )
    return next(words for applies, words in reasons if applies)
