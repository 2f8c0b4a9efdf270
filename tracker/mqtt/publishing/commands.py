"""What may be asked of a site over MQTT, and the answer that goes to the response topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import (
    COMMANDS,
    MAX_COMMAND_BYTES,
    Command,
    CommandName,
    Forget,
    LabelTurn,
    NameSpeaker,
    Pause,
    PayloadError,
    Reply,
    Reset,
    Start,
    Stop,
    parse,
)

MAX_CORRELATION_BYTES: Final = 1024  # of what an answer carries back


class RefusedError(Exception):
    """A command that cannot be followed; the message is one line."""


class SiteControls(Protocol):
    """What a site can be made to do. Each raises ``RefusedError`` when it cannot."""

    session: str | None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def pause(self, paused: bool | None, /) -> None: ...

    def reset(self) -> None: ...

    def label(self, turn_id: int, emotion: str, /) -> None: ...

    def rename(self, speaker: str, name: str, /) -> None: ...

    def forget(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    done: bool
    complaint: str | None = None
    """One line: why it was not done, or why it got no answer."""


def follow(message: Message, site: str, controls: SiteControls, publish: Callable[[Message], None]) -> Outcome:
    """Do what ``message``, sent to ``site``, asks, and answer it.

    A retained command is not followed: somebody gave it before anybody listened, and it would come again at every
    start. A command whose answer may not go where it asks for it is followed without an answer.
    """
    name = message.topic.rpartition("/")[2]
    if message.retain:
        return Outcome(done=False, complaint="a retained command is not followed; send it without the retain flag")
    if name not in COMMANDS:
        return Outcome(done=False, complaint=f"there is no such command; there are {', '.join(COMMANDS)}")
    command: CommandName = name
    refusal = None
    try:
        _do(parse(COMMANDS[command], message.payload, MAX_COMMAND_BYTES), controls)
    except (PayloadError, RefusedError) as error:
        refusal = str(error)
    if message.response_topic is None:
        return Outcome(refusal is None, refusal)
    unanswerable = _unanswerable(message.response_topic, message.correlation)
    if unanswerable is None:
        reply = Reply(
            site=site,
            session=controls.session,
            time=datetime.now(UTC),
            command=command,
            ok=refusal is None,
            error=refusal,
        )
        publish(channels.to_reply(reply, message.response_topic, message.correlation))
    return Outcome(refusal is None, refusal or unanswerable)


def _unanswerable(response_topic: str, correlation: bytes | None) -> str | None:
    if not topics.is_reply(response_topic):
        return f"answers go to {topics.ROOT}/NAME/reply/… alone, of at most {topics.MAX_REPLY_LEVELS} levels more"
    if len(correlation or b"") > MAX_CORRELATION_BYTES:
        return f"correlation data of more than {MAX_CORRELATION_BYTES} bytes are not sent back"
    return None


def _do(command: Command, controls: SiteControls) -> None:
    match command:
        case Start():
            controls.start()
        case Stop():
            controls.stop()
        case Pause(paused=paused):
            controls.pause(paused)
        case Reset():
            controls.reset()
        case LabelTurn(turn_id=turn_id, emotion=emotion, session=session):
            _check_session(session, controls)
            controls.label(turn_id, emotion)
        case NameSpeaker(speaker=speaker, name=name, session=session):
            _check_session(session, controls)
            controls.rename(speaker, name)
        case Forget():
            controls.forget()


def _check_session(session: str | None, controls: SiteControls) -> None:
    if session is not None and session != controls.session:
        raise RefusedError("that is not the running session")
