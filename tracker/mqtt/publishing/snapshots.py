"""What a worker leaves on the broker after every turn, so that another of its group can go on."""

from __future__ import annotations

import logging

from emotrack.tracker.events import Event, Turn
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import MAX_CONTEXT_BYTES, Snapshot
from emotrack.tracker.mqtt.publishing.options import Publishing, Serving
from emotrack.tracker.mqtt.publishing.site_voice import SiteVoice
from emotrack.tracker.mqtt.publishing.state import SiteState
from emotrack.tracker.session.status import Status

_log = logging.getLogger(__name__)


class Snapshots:
    """The retained snapshot of one site, where its worker is in a group."""

    def __init__(
        self, publishing: Publishing, serving: Serving | None, status: Status, state: SiteState, voice: SiteVoice
    ) -> None:
        self._turns_heard = serving.snapshot.turns_heard if serving and serving.snapshot else 0
        self.fingerprint = ""
        """Of the bundle."""
        self._keeps = serving is not None and serving.group is not None
        self._hermes_session = serving.hermes_session if serving else None
        self._publishing = publishing
        self._status = status
        self._state = state
        self._voice = voice

    def leave(self, after: Event | None = None) -> None:
        """Leave the conversation as it stands, ``after`` an event; one that is too large is left no more."""
        if isinstance(after, Turn):
            self._turns_heard = max(self._turns_heard, after.turn_id)
        if not self._keeps or self._status.context is None:
            return
        context = self._status.context.to_bytes(with_words=self._publishing.with_text)
        if len(context) > MAX_CONTEXT_BYTES:
            self.clear()
            self._keeps = False
            _log.warning(
                "%s: %d bytes of context are too many to be left to another worker, which would start without them; "
                "choose a smaller --context",
                self._status.site,
                len(context),
            )
            return
        self._voice.send(
            Snapshot(
                **self._status.stamp(),
                worker=self._publishing.worker,
                hermes_session=self._hermes_session or "",
                fingerprint=self.fingerprint,
                stream_s=self._status.stream_s,
                turns_heard=self._turns_heard,
                paused=self._status.paused,
                context=context,
                recent=self._state.dump(),
            )
        )

    def clear(self) -> None:
        """Let the broker keep none."""
        if self._keeps:
            self._voice.publish(channels.to_deletion(topics.snapshot(self._status.site)))
