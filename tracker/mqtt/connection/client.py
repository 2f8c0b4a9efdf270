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
from collections.abc import Callable, Iterable
from typing import Any, Final

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.message import Message

KEEPALIVE_S: Final = 20
ANSWER_S: Final = 10.0  # an acknowledgement that takes longer counts as a lost connection
MAX_PACKET_BYTES: Final = 1_048_576
"""Of any packet that is received: twice the largest payload that is read. A broker keeps larger ones to itself."""
LostError = aiomqtt.MqttError
"""The connection could not be made, or is gone; ``Client.explain`` says why."""

NO_ANSWER: Final = "gives no answer"
_NO_ENTRY: Final = "refuses the user name or password"
_NO_MQTT_5: Final = "does not speak MQTT 5"
_NO_RETAINED: Final = "keeps no retained messages, which are needed"
_NO_QOS_1: Final = "takes no messages of QoS 1, which are needed"
_FOR_GOOD: Final = {
    0x81: "does not understand the request to connect",
    0x82: _NO_MQTT_5,
    0x84: _NO_MQTT_5,
    0x85: "refuses the client's name",
    0x86: _NO_ENTRY,
    0x87: _NO_ENTRY,
    0x8A: "has banned this client",
    0x8C: "wants another way to authenticate",
    0x90: "refuses the topic of the Last Will",
    0x95: "finds the request to connect too large",
    0x99: "refuses the payload of the Last Will",
    0x9A: _NO_RETAINED,
    0x9B: _NO_QOS_1,
    0x9D: "has moved to another address",
}
"""Reason codes of CONNACK that will be the same the next time (MQTT 5, 3.2.2.2); others, as 0x88 and 0x89, may pass."""
_PROTOCOL_ERROR: Final = 0x82


class UnfitError(LostError):
    """The broker let us in and announced that it cannot do what is needed."""


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
        *,
        is_bare: bool = False,
    ) -> None:
        """``is_bare`` asks without MQTT 5's properties, over which some brokers of MQTT 3 wait for ever."""
        self._log = _Log()
        # One for each attempt. Below errors, the libraries have a line for every message: 6 % of a busy tracker's time.
        logger = logging.Logger("emotrack.mqtt", logging.ERROR)  # noqa: LOG001
        logger.addHandler(self._log)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if not is_bare:
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        if session_expiry_s and not is_bare:
            properties.SessionExpiryInterval = session_expiry_s
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=not session_expiry_s,
            will=_will(will, session_expiry_s) if will else None,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            tls_context=broker.tls,
            properties=properties,
            logger=logger,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._receive = on_message
        self._refusal: str | None = None
        self._announced = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
        self._answered_otherwise = False
        self._hung_up = False

    def check(self, topic_filters: Iterable[str]) -> None:
        """Raises ``UnfitError`` if the broker has announced that it lacks what is needed."""
        needs = {
            "RetainAvailable": _NO_RETAINED,
            "MaximumQoS": _NO_QOS_1,
            "WildcardSubscriptionAvailable": "takes no subscriptions with wildcards, which are needed",
        }
        if any(topic_filter.startswith("$share/") for topic_filter in topic_filters):
            needs["SharedSubscriptionAvailable"] = "takes no shared subscriptions, which a group needs"
        for name, words in needs.items():
            if getattr(self._announced, name, 1) == 0:
                raise UnfitError(words)

    async def send(self, message: Message) -> str | None:
        """Publish, and with QoS 1 wait for the acknowledgement; returns why it was refused, here or by the broker."""
        self._refusal = None
        properties = _properties(message, PacketTypes.PUBLISH)
        try:
            taken = getattr(self._announced, "MaximumPacketSize", None)
            if taken is not None and (size := _packet_bytes(message, properties)) > taken:
                return f"{size} bytes; it takes {taken}"
            await self.publish(message.topic, message.payload, message.qos, message.retain, properties)
        except ValueError:  # a lone surrogate, a wildcard, or a topic that is too long
            return "MQTT has no such topic"
        return self._refusal

    async def wait_until_lost(self) -> None:
        """Raises ``LostError`` once the connection is gone."""
        async for _ in self.messages:
            pass  # none come this way

    def explain(self, error: aiomqtt.MqttError) -> tuple[str, bool]:
        """What went wrong in a few words, and whether it was refused for good, not merely out of reach."""
        if (refusal := self._refused_for_good(error)) is not None:
            return refusal, True
        return self._out_of_reach(error), False

    def _refused_for_good(self, error: aiomqtt.MqttError) -> str | None:
        if isinstance(error, UnfitError):
            return str(error)
        if isinstance(error, MqttConnectError):
            return _FOR_GOOD.get(getattr(error.rc, "value", 0))
        return _NO_MQTT_5 if self._answered_otherwise else self._without_tls(error.__context__)

    def _without_tls(self, cause: BaseException | None) -> str | None:
        """``cause`` is that of aiomqtt's error, which keeps only its text."""
        if self._log.alert:
            return f"no TLS connection: {self._log.alert}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not to be trusted: {cause.verify_message}"
        return f"no TLS connection: {cause.reason or cause}" if isinstance(cause, ssl.SSLError) else None

    def _out_of_reach(self, error: aiomqtt.MqttError) -> str:
        if isinstance(error, MqttConnectError):
            return f"refuses the connection ({error.rc})"
        if self._hung_up:
            return "hangs up without an answer (does it speak MQTT 5, and TLS only for mqtts://?)"
        if str(error) == "Operation timed out":  # aiomqtt's words
            return NO_ANSWER
        cause = error.__context__
        return (
            f"cannot be reached ({cause.strerror or cause})"
            if isinstance(cause, OSError)
            else "the connection was lost"
        )

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

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any | None = None
    ) -> None:
        if properties is not None:
            self._announced = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if reason_code.is_failure:
            self._refusal = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any | None = None
    ) -> None:
        if not self._connected.done():
            self._answered_otherwise = reason_code.value == _PROTOCOL_ERROR  # ours: what came was not MQTT 5
            self._hung_up = not self._answered_otherwise
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code))
        for answer in self._pending_subscribes.values():
            if not answer.done():
                answer.set_exception(aiomqtt.MqttCodeError(reason_code))
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


def _will(message: Message, delay_s: int) -> aiomqtt.Will:
    properties = _properties(message, PacketTypes.WILLMESSAGE)
    if delay_s:
        properties.WillDelayInterval = delay_s
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


def _packet_bytes(message: Message, properties: Properties) -> int:
    """The size of a PUBLISH packet; raises ``UnicodeEncodeError``, a ``ValueError``, for a topic that is no text."""
    packed: bytes = properties.pack()  # type: ignore[no-untyped-call]
    rest = 2 + len(message.topic.encode()) + (2 if message.qos else 0) + len(packed) + len(message.payload)
    return 1 + sum(rest >= 1 << bits for bits in (0, 7, 14, 21)) + rest


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
