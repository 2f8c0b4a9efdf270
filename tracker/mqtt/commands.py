"""What may be asked of a site over MQTT, and the answer that goes to the response topic."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from emotrack.tracker.mqtt import channels, topics
from emotrack.tracker.mqtt.message import Message
from emotrack.tracker.mqtt.payloads import (
    COMMANDS,
    MAX_COMMAND_BYTES,
    Command,
    CommandName,
    LabelTurn,
    Pause,
    PayloadError,
    Reply,
    Reset,
    Start,
    Stop,
    parse,
)


class RefusedError(Exception):
    """A command that cannot be followed; the message is one line."""


class Controls(Protocol):
    """What a site can be made to do. Each raises ``RefusedError`` when it cannot."""

    session: str | None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def pause(self, paused: bool | None, /) -> None: ...

    def reset(self) -> None: ...

    def label(self, turn_id: int, emotion: str, /) -> None: ...


def follow(message: Message, site: str, controls: Controls, publish: Callable[[Message], None]) -> str | None:
    """Do what ``message``, sent to ``site``, asks, and answer it; why it could not be done, else None."""
    name = message.topic.rpartition("/")[2]
    if name not in COMMANDS:
        return f"there is no such command; there are {', '.join(COMMANDS)}"
    command: CommandName = name
    refusal = None
    try:
        _do(parse(COMMANDS[command], message.payload, MAX_COMMAND_BYTES), controls)
    except (PayloadError, RefusedError) as error:
        refusal = str(error)
    if message.response_topic and topics.can_publish(message.response_topic):
        reply = Reply(
            site=site,
            session=controls.session,
            time=datetime.now(UTC),
            command=command,
            ok=refusal is None,
            error=refusal,
        )
        publish(channels.to_reply(reply, message.response_topic, message.correlation))
    return refusal


def _do(command: Command, controls: Controls) -> None:
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
            if session is not None and session != controls.session:
                raise RefusedError("that is not the running session")
            controls.label(turn_id, emotion)
