"""What a site's commands do to its session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from emotrack.tracker.mqtt.publishing.commands import RefusedError
from emotrack.tracker.session.controls import Controls


class SessionControls:
    """The controls of a running session."""

    def __init__(
        self, session: str, controls: Controls, forget_state: Callable[[], None], forget: Callable[[], None]
    ) -> None:
        """``forget_state`` is called at a reset, when the session has forgotten its turns; ``forget`` for the site."""
        self.session: str | None = session
        self._controls = controls
        self._forget_state = forget_state
        self.forget = forget

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        self._controls.stop("stopped")

    def pause(self, paused: bool | None) -> None:
        if paused is None:
            self._controls.toggle_pause()
        else:
            self._controls.pause(paused)

    def reset(self) -> None:
        with _refusing():
            self._controls.forget()
        self._forget_state()

    def label(self, turn_id: int, emotion: str) -> None:
        with _refusing():
            self._controls.correct(turn_id, emotion)

    def rename(self, speaker: str, name: str) -> None:
        with _refusing():
            self._controls.rename(speaker, name)


class ClosedControls:
    """The controls of a site without a session: it can be opened."""

    session: str | None = None

    def __init__(self, start: Callable[[], None], forget: Callable[[], None]) -> None:
        self.start = start
        self.forget = forget

    def stop(self) -> None:
        """It is closed already."""

    def pause(self, _paused: bool | None) -> None:
        self._refuse()

    def reset(self) -> None:
        self._refuse()

    def label(self, _turn_id: int, _emotion: str) -> None:
        self._refuse()

    def rename(self, _speaker: str, _name: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RefusedError("the site has no session")


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise RefusedError(str(error)) from None
