"""One site's conversation, from its first message of audio to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotrack.models.context import RollingContext
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.payloads import Snapshot
from emotrack.tracker.mqtt.publishing.options import Publishing, Serving
from emotrack.tracker.mqtt.publishing.sink import MqttSink
from emotrack.tracker.mqtt.sites.site_source import SiteSource
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.live_session import LiveSession
from emotrack.tracker.session.options import SessionOptions, SpeakerOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from emotrack.tracker.sinks.json_lines import JsonLines, Sink
from emotrack.tracker.understanding.engine import Engine

_log = logging.getLogger(__name__)


def file_of_site(save: Path, site: str) -> Path:
    """The file for one of several sites: ``talk.jsonl`` becomes ``talk.kitchen.jsonl``."""
    return save.with_name(f"{save.stem}.{topics.level(site)}{save.suffix}")


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """What every site's session is made with."""

    segmenter: SegmenterOptions
    context_turns: int | None
    with_text: bool
    max_sites: int
    idle_s: float
    to_stdout: bool
    save: Path | None
    """Each site's events go to a file beside it that bears the site's name."""
    keep_audio: bool
    speakers: SpeakerOptions | None = None
    """How voices are told apart; None: they are not."""
    notice_given: bool = False
    """Everybody who can be heard at these sites was told."""
    speculate: bool = True
    """Begin with a turn at the pause that may be its end."""
    provisional: bool = True
    """Estimate turns that still go on."""
    takes_commands: bool = True
    """Follow what is asked on the sites' command topics and Hermes' start and stop."""
    sinks: Callable[[LiveStatus], Sequence[Sink]] = lambda _: ()
    """Further sinks of a session, made with its status."""
    only: tuple[str, ...] = ()
    """Names of the sites that are served, with ``*`` and ``?`` as in a shell; all where there are none."""

    def saved_to(self, site: str) -> Path | None:
        """The file for one site, if any."""
        return None if self.save is None else file_of_site(self.save, site)


class Site:
    """A session with its source and its sinks, which goes on from a snapshot where there is one.

    Raises ``SinkError`` when its events cannot be kept.
    """

    def __init__(
        self,
        name: str,
        source: SiteSource,
        engine: Engine,
        publishing: Publishing,
        options: SiteOptions,
        serving: Serving,
    ) -> None:
        self.name = name
        self.source = source
        self.hermes_session = serving.hermes_session
        self.start_again = False
        """It was told to start while its session was ending."""
        self._opened_s = time.monotonic()
        self._engine = engine
        self._options = options
        saved_to = options.saved_to(name)
        self._keeper = AudioKeeper(saved_to) if saved_to and options.keep_audio else None
        self.status = self._status(serving.snapshot) if serving.snapshot else LiveStatus(site=name)
        self.controls = Controls(self.status, engine.network.labels)
        self.sink = MqttSink(publishing, self.status, self.controls, serving)
        sinks: list[Sink] = [JsonLines.to_file(saved_to)] if saved_to else []
        if options.to_stdout:
            sinks.append(JsonLines.to_stdout())
        sinks += options.sinks(self.status)
        session_options = SessionOptions(
            segmenter=options.segmenter,
            speakers=options.speakers,
            context_turns=options.context_turns,
            with_text=options.with_text,
            notice_given=options.notice_given,
            keeper=self._keeper,
            speculate=options.speculate,
            provisional=options.provisional,
        )
        self._live = LiveSession(source, engine, [*sinks, self.sink], self.controls, session_options)

    async def run(self) -> None:
        """Track until the microphone falls silent or the session is stopped. Raises ``EmotrackError``."""
        try:
            await self._live.run()
        finally:
            if self._keeper:
                self._keeper.close()

    def is_silent_for(self, seconds: float) -> bool:
        """Whether nobody has spoken yet though it has been open for so long."""
        has_spoken = self.status.turns_heard > 0 or any(self.status.speaking)
        return not has_spoken and not self.status.paused and time.monotonic() - self._opened_s >= seconds

    def _status(self, snapshot: Snapshot) -> LiveStatus:
        return LiveStatus(
            site=self.name,
            session=snapshot.session,
            turns_heard=snapshot.turns_heard,
            paused=snapshot.paused,
            context=self._restored(snapshot),
        )

    def _restored(self, snapshot: Snapshot) -> RollingContext:
        try:
            return self._engine.scorer.restore_context(snapshot.context)
        except ValueError as error:  # of another bundle, or damaged
            _log.warning("%s: the context so far cannot be used: %s", self.name, error)
            return self._engine.scorer.new_context(self._options.context_turns)
