"""Which topics carry audio, and whose."""

from __future__ import annotations

from typing import Final

from emotrack.errors import UsageError
from emotrack.tracker.mqtt.format import topics

USUAL_FILTERS: Final = (
    topics.ANY_HERMES_AUDIO_FRAME,
    topics.ANY_HERMES_AUDIO_SESSION_FRAME,
    topics.ANY_AUDIO,
)


class AudioTopics:
    """The topic filters on which microphones send; the first ``+`` of each is the site's level."""

    def __init__(self, topic_filter: str | None) -> None:
        """``topic_filter`` takes the place of the usual ones. Raises ``UsageError`` when it cannot be one."""
        if topic_filter is not None:
            _check(topic_filter)
        self.filters = USUAL_FILTERS if topic_filter is None else (topic_filter,)
        self._split = [topic_filter.split("/") for topic_filter in self.filters]

    def site(self, topic: str) -> str | None:
        """The site that sends on ``topic``; None when it is no audio topic."""
        levels = topic.split("/")
        for pattern in self._split:
            if _matches(pattern, levels):
                level = levels[pattern.index("+")]
                return (topics.name(level) if _is_ours(pattern) else level) or topics.DEFAULT_SITE
        return None

    def of(self, site: str) -> list[str]:
        """The filters of one site's audio alone."""
        ours, theirs = topics.level(site), topics.hermes_audio_frame(site).split("/")[2]
        return [
            topic_filter.replace("+", ours if _is_ours(pattern) else theirs, 1)
            for topic_filter, pattern in zip(self.filters, self._split, strict=True)
        ]


def _check(topic_filter: str) -> None:
    levels = topic_filter.split("/")
    wrong = any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if wrong or "\0" in topic_filter or "+" not in levels or topic_filter.startswith("$"):
        raise UsageError(f"--audio-topic {topic_filter!r}: a topic filter in which the first + is the site's name")


def _is_ours(pattern: list[str]) -> bool:
    """Whether names are escaped in its topics; Hermes and others write them as they are."""
    return pattern[0] == topics.ROOT


def _matches(pattern: list[str], levels: list[str]) -> bool:
    if pattern[-1] == "#":
        pattern, levels = pattern[:-1], levels[: len(pattern) - 1]
    return len(pattern) == len(levels) and all(p in {"+", level} for p, level in zip(pattern, levels, strict=True))
