"""One connection attempt to a broker, and its life if it succeeds: the only place that knows the MQTT libraries."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
import socket
import ssl
import termios
import time
from collections.abc import Callable
from typing import Any, Final

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from emotrack.tracker.mqtt.broker import Broker
from emotrack.tracker.mqtt.message import Message

KEEPALIVE_S: Final = 20
ANSWER_S: Final = 10.0  # an acknowledgement that takes longer counts as a lost connection
LostError = aiomqtt.MqttError
"""The connection could not be made, or is gone; ``Client.explain`` says why."""

_NOT_AUTHORISED: Final = {0x86, 0x87}  # MQTT 5, 3.2.2.2: bad user name or password; not authorised

_ALERT = re.compile(r"\[SSL: \w+\] (.+?) \(")


class _Log(logging.Handler):
    """What the libraries log, which may quote topics and user names, goes nowhere; a TLS alert is remembered."""

    alert: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if found := _ALERT.search(record.getMessage()):
            self.alert = found[1]


class Client(aiomqtt.Client):
    """A context manager that connects and says goodbye; both raise ``LostError``.

    aiomqtt hides why a message was refused, waits in vain for an answer from a broker that hangs up, makes a task for
    every message that arrives, and may watch a socket that has been closed meanwhile, or another that got its number;
    the callbacks below do better.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: Message | None,
        session_expiry_s: int,
        on_message: Callable[[Message], None] | None,
    ) -> None:
        self._log = _Log()
        # One for each attempt. Below errors, the libraries have a line for every message: 6 % of a busy tracker's time.
        logger = logging.Logger("emotrack.mqtt", logging.ERROR)  # noqa: LOG001
        logger.addHandler(self._log)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if session_expiry_s:
            properties.SessionExpiryInterval = session_expiry_s
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=not session_expiry_s,
            will=_will(will) if will else None,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            tls_context=broker.tls,
            properties=properties,
            logger=logger,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._receive = on_message
        self._refusal: str | None = None

    async def send(self, message: Message) -> str | None:
        """Publish, and with QoS 1 wait for the acknowledgement; returns why the broker refused it, if it did."""
        self._refusal = None
        await self.publish(
            message.topic, message.payload, message.qos, message.retain, _properties(message, PacketTypes.PUBLISH)
        )
        return self._refusal

    async def wait_until_lost(self) -> None:
        """Raises ``LostError`` once the connection is gone."""
        async for _ in self.messages:
            pass  # none come this way

    def explain(self, error: aiomqtt.MqttError) -> tuple[str, bool]:
        """What went wrong in a few words, and whether it was refused for good, not merely out of reach."""
        if isinstance(error, MqttConnectError):
            refused = getattr(error.rc, "value", 0) in _NOT_AUTHORISED
            return ("refuses the user name or password" if refused else f"refuses the connection ({error.rc})"), refused
        if self._log.alert:
            return f"no TLS connection: {self._log.alert}", True
        cause = error.__context__  # aiomqtt keeps only its text
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not to be trusted: {cause.verify_message}", True
        if isinstance(cause, ssl.SSLError):
            return f"no TLS connection: {cause.reason or cause}", True
        if isinstance(cause, OSError):
            return f"cannot be reached ({cause.strerror or cause})", False
        return ("gives no answer" if "timed out" in str(error) else "the connection was lost"), False

    def abandon(self) -> None:
        """Let go of the socket of an attempt that never got an answer."""
        self._client.disconnect()

    def _on_message(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        if self._receive:
            with contextlib.suppress(UnicodeDecodeError):  # a topic that no honest broker lets through
                self._receive(_received(message, None if self._is_behind() else time.monotonic()))

    def _is_behind(self) -> bool:
        """Whether more waits in the socket: what is read then may have come long ago."""
        waiting = bytearray(4)
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return False
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
        return any(waiting)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if reason_code.is_failure:
            self._refusal = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any | None = None
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_socket_register_write(self, client: Any, _userdata: Any, sock: socket.socket) -> None:
        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001  # whatever it is, the connection is of no more use
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def watch() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(watch)  # while connecting it is called in a thread


def _will(message: Message) -> aiomqtt.Will:
    properties = _properties(message, PacketTypes.WILLMESSAGE)
    return aiomqtt.Will(message.topic, message.payload, message.qos, message.retain, properties)


def _properties(message: Message, packet: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    if message.content_type is not None:
        properties.ContentType = message.content_type
    if message.is_text:
        properties.PayloadFormatIndicator = 1
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.response_topic is not None:
        properties.ResponseTopic = message.response_topic
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.user:
        properties.UserProperty = list(message.user)
    return properties


def _received(message: MQTTMessage, arrived_s: float | None) -> Message:
    properties = message.properties
    return Message(
        topic=message.topic,
        payload=bytes(message.payload),
        qos=message.qos,
        retain=message.retain,
        content_type=getattr(properties, "ContentType", None),
        is_text=getattr(properties, "PayloadFormatIndicator", 0) == 1,
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        user=tuple(getattr(properties, "UserProperty", ())),
        arrived_s=arrived_s,
    )
