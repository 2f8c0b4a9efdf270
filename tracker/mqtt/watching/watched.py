"""What is known of sites from their topics alone: the dashboard's picture of each, and how fresh it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from emotrack.tracker.dashboard.naming import NewName
from emotrack.tracker.dashboard.state import NAME_CHARS, DashboardState, Watching
from emotrack.tracker.events import Event, SessionEnded, SessionStarted, Turn
from emotrack.tracker.messages.notices import Notice, NoticeBoard
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import counted
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import to_command
from emotrack.tracker.mqtt.format.payloads import (
    MAX_NAME_CHARS,
    ErrorReport,
    LabelTurn,
    Metrics,
    NameSpeaker,
    Pause,
    PayloadError,
    Shift,
    SiteStatus,
    SourceState,
    State,
    Stop,
    Vad,
    parse,
    parse_event,
    parse_status,
)
from emotrack.tracker.session.status import LiveStatus

KINDS: Final = ("turn", "provisional", "session", "state", "status", "source", "shift", "vad", "metrics", "error")
"""The topics of a site that are read."""
RETAINED_KINDS: Final = ("session", "state", "status", "source")
"""Those that a broker keeps; of any other, a retained message is not of now, whoever sent it."""
MAX_SITES: Final = 64
KEEP_TURNS: Final = 300  # of each site
STALE_AFTER_S: Final = 20.0
"""A site that used to send every few seconds, and then nothing for so long, is not what it was."""


class WatchedSite:
    """One site: what its topics have said. Times are seconds of a monotonic clock."""

    def __init__(self, name: str, broker: str, on_event: Callable[[str, Event], None]) -> None:
        """``on_event`` is called with the site's name and each event that counts."""
        self.name = name
        self._on_event = on_event
        self.watching = Watching(broker)
        self.state = DashboardState(site=name, keep_turns=KEEP_TURNS, watching=self.watching)
        self.status = LiveStatus()
        self._notices = NoticeBoard()
        self.standing: State | None = None
        """The latest of ``…/state``."""
        self.turn_at: float | None = None
        """When the latest turn came, or how long ago it must have come when this was first heard of."""
        self.session: str | None = None
        """The one that its latest event is of."""
        self._site_status: SiteStatus | None = None
        self._heard_at = 0.0
        self._sends_often = False

    def renaming(self, wanted: NewName) -> Message:
        """The command that gives a speaker the name that the viewer wants."""
        wish = NameSpeaker(speaker=wanted.speaker[:MAX_NAME_CHARS], name=wanted.name, session=self._wanted_session)
        return to_command(wish, topics.command(self.name, "rename"))

    def labelling(self, turn_id: int, emotion: str) -> Message:
        """The command that says what a turn really sounded like."""
        wish = LabelTurn(turn_id=turn_id, emotion=emotion, session=self._wanted_session)
        return to_command(wish, topics.command(self.name, "label"))

    def pausing(self, paused: bool) -> Message:
        """The command that makes it listen no more, or again."""
        return to_command(Pause(paused=paused), topics.command(self.name, "pause"))

    def stopping(self) -> Message:
        """The command that ends its session."""
        return to_command(Stop(), topics.command(self.name, "stop"))

    @property
    def _wanted_session(self) -> str | None:
        return (self.session or "")[:MAX_NAME_CHARS] or None

    def judge(self, now: float, *, connected: bool) -> None:
        """Say why what is shown may be out of date, if there is a reason; notices that have had their time go."""
        self.state.notice = self._notices.line(now)
        self.watching.problem = None if connected else "not connected"
        if connected and self.state.ended is None:
            silent_s = now - self._heard_at
            if self._site_status == "offline":
                self.watching.problem = "offline"
            elif self._sends_often and silent_s > STALE_AFTER_S:
                self.watching.problem = f"stale for {age(silent_s)}"

    def receive(self, kind: str, message: Message, now: float, wall: datetime) -> None:
        """Take in what came on one of the site's topics. Raises ``PayloadError``."""
        match kind:
            case "turn" | "provisional" | "session":
                self._event(parse_event(message.payload), message.retain, now)
            case "state":
                self._standing(parse(State, message.payload) if message.payload else None, message.retain, now, wall)
            case "status":
                self._site_status = parse_status(message.payload) if message.payload else None
            case "source" if message.payload:
                source = parse(SourceState, message.payload)
                self.status.paused, self.status.source_lost = source.paused, source.lost
            case "shift":
                self._shift(parse(Shift, message.payload))
            case "vad":
                self._vad(parse(Vad, message.payload))
            case "metrics":
                self._metrics(parse(Metrics, message.payload))
            case "error":
                self._error(parse(ErrorReport, message.payload), now)
        if not message.retain:
            self._heard_at = now
            self._sends_often |= kind in {"vad", "metrics"}

    def _error(self, report: ErrorReport, now: float) -> None:
        self._notices.put(Notice(f"{report.code.replace('_', ' ')}: {report.message}"), now)
        self.state.notice = self._notices.line(now)

    def _event(self, event: Event, was_kept: bool, now: float) -> None:
        if was_kept and not isinstance(event, SessionStarted | SessionEnded):
            return
        if event.session != self.session:
            self.session = event.session
            self.state = self.state.before_any_event()
            self.status = LiveStatus()
        if isinstance(event, SessionStarted):
            self.state.ended = None  # another worker may go on with a session
            self._sends_often = False
        elif isinstance(event, Turn):
            self.status.stream_s = max(self.status.stream_s, event.end_s)
            if self.state.find(event.turn_id)[1] is None:  # neither a revision nor sent twice
                self.turn_at = now
        self.state.apply(event)
        self.status.source_lost = self.state.lost_reason is not None
        self._on_event(self.name, event)

    def _standing(self, standing: State | None, was_kept: bool, now: float, wall: datetime) -> None:
        self.standing = standing
        shares = standing.mood_probabilities if standing else {}
        self.watching.mood = {plain(label, NAME_CHARS): share for label, share in shares.items()}
        if standing is None or standing.turn_id is None or not was_kept or self.turn_at is not None:
            return
        self.turn_at = now - max(0.0, (wall - standing.time).total_seconds())
        self.session = standing.session
        emotion, mood = (plain(word or "unknown", NAME_CHARS) for word in (standing.emotion, standing.mood))
        before = f"{counted(standing.turns, 'turn')} before this; the latest was {emotion}, the mood is {mood}"
        self.state.note(standing.at_s or 0.0, before)

    def _shift(self, shift: Shift) -> None:
        who = "The mood of the room" if shift.speaker is None else plain(shift.speaker, NAME_CHARS)
        before, after = plain(shift.before, NAME_CHARS), plain(shift.after, NAME_CHARS)
        self.state.note(shift.at_s, f"{who} turned from {before} to {after}")

    def _vad(self, vad: Vad) -> None:
        self.status.stream_s = vad.at_s
        self.status.speaking = vad.channels or (vad.speaking,)
        self.status.levels_dbfs = vad.levels_dbfs

    def _metrics(self, metrics: Metrics) -> None:
        status = self.status
        status.stream_s = max(status.stream_s, metrics.at_s)
        status.paused = metrics.paused
        status.source_lost = metrics.source_lost
        status.thinking = metrics.queue_depth.get("turns", 0)
        status.dropped_frames = sum(metrics.dropped_frames.values())
        status.dropped_turns = metrics.dropped_turns
        status.text_skipped = metrics.text_skipped


class WatchedSites:
    """The sites of a broker, in the order of their names; a bounded number of them."""

    def __init__(self, broker: str, on_event: Callable[[str, Event], None] = lambda _site, _event: None) -> None:
        """``on_event`` is called with the name of a site and each of its events."""
        self._on_event = on_event
        self.sites: list[WatchedSite] = []
        self.unreadable = 0
        """Messages that were not what their topics promise."""
        self.ignored: set[str] = set()
        """Some of the sites beyond the bound."""
        self._broker = broker

    def receive(self, message: Message, now: float, wall: datetime) -> None:
        """Take in a message of any site; whatever it is, it does no harm."""
        site, kind = topics.split(message.topic) or ("", "")
        if kind not in (RETAINED_KINDS if message.retain else KINDS):
            return
        if (watched := self._site(site, knows=bool(message.payload))) is not None:
            try:
                watched.receive(kind, message, now, wall)
            except PayloadError:
                self.unreadable += 1

    def _site(self, name: str, *, knows: bool) -> WatchedSite | None:
        found = next((site for site in self.sites if site.name == name), None)
        if found is None and knows:
            if len(self.sites) >= MAX_SITES:
                self.ignored |= {name} if len(self.ignored) < MAX_SITES else set()
                return None
            found = WatchedSite(name, self._broker, self._on_event)
            self.sites.append(found)
            self.sites.sort(key=lambda site: site.name)
        return found


def age(seconds: float) -> str:
    """A stretch of time in one unit.

    >>> age(7.2), age(150), age(7200)
    ('7 s', '2 min', '2 h')
    """
    for unit, length in (("days", 2 * 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / (86_400 if unit == 'days' else length):.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
