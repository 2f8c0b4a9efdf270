"""One viewer: what they are told, and what they wish; and one who sends audio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from emotrack.tracker.messages.plain import plain_line
from emotrack.tracker.web.address import Role, WebAddress
from emotrack.tracker.web.feed import Reader
from emotrack.tracker.web.messages import (
    MAX_WHY,
    AudioFormat,
    Listening,
    MessageError,
    Refused,
    Welcome,
    Wish,
    read_audio_format,
    read_enter,
    read_wish,
)
from emotrack.tracker.web.microphone import AudioSender, SamplesError, WebMicrophone
from emotrack.tracker.web.site import Shown

ENTER_S: Final = 10.0  # within which a viewer says who they are
WISHES_AT_ONCE: Final = 20
WISHES_A_SECOND: Final = 5.0
BAD_MESSAGE, NOT_ALLOWED, TOO_MANY = 4400, 4401, 4429  # closing codes, after those of HTTP


class ClosedError(Exception):
    """Why a viewer is turned away: a closing code and one line."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Viewer:
    """A connection to ``/events``."""

    def __init__(self, socket: WebSocket, address: WebAddress, shown: Shown) -> None:
        self._socket = socket
        self._address = address
        self._shown = shown
        self._role: Role = "looks on"
        self._site: str | None = None
        self._wishes = float(WISHES_AT_ONCE)
        self._wished_at = time.monotonic()

    async def serve(self) -> None:
        """Until they go. Raises ``ClosedError``."""
        try:
            enter = read_enter(await _first(self._socket))
        except MessageError as error:
            raise ClosedError(BAD_MESSAGE, str(error)) from None
        self._role = _role(self._address, enter.token)
        self._site, feed = self._shown.feed(enter.site)
        reader = Reader(feed, enter.last_event)
        takes_part = self._role == "takes part"
        welcome = Welcome(
            site=self._site,
            may=self._shown.may if takes_part and self._site is not None else (),
            goes_on=reader.goes_on,
            microphone=takes_part and self._shown.microphone is not None,
        )
        await self._socket.send_text(welcome.to_json())
        self._shown.refresh()
        await _first_to_end(self._tell(reader), self._listen())

    async def _tell(self, reader: Reader) -> None:
        """Send what is due; a viewer that does not read makes nobody wait but itself."""
        while True:
            for message in reader.take():
                await self._socket.send_text(message)
                await asyncio.sleep(0)  # who reads a long conversation holds nobody up meanwhile
            await reader.change()

    async def _listen(self) -> None:
        while True:
            text = await _text(self._socket)
            self._count_wish()
            try:
                self._follow(read_wish(text))
            except (MessageError, ValueError) as error:
                await self._socket.send_text(Refused(why=plain_line(str(error), MAX_WHY)).to_json())

    def _follow(self, wish: Wish) -> None:
        if self._role != "takes part":
            raise ValueError("this link is to look on only")
        if wish.type not in self._shown.may or self._site is None:
            raise ValueError(f"{wish.type} cannot be done here")
        self._shown.follow(self._site, wish)

    def _count_wish(self) -> None:
        now = time.monotonic()
        self._wishes = min(WISHES_AT_ONCE, self._wishes + WISHES_A_SECOND * (now - self._wished_at)) - 1
        self._wished_at = now
        if self._wishes < 0:
            raise ClosedError(TOO_MANY, "too many messages")


async def serve_audio(socket: WebSocket, address: WebAddress, shown: Shown) -> None:
    """Hear whoever sends to ``/audio`` until they go. Raises ``ClosedError``."""
    try:
        sent = read_audio_format(await _first(socket))
        with _wanted(address, sent, shown).sender(sent) as sender:
            await socket.send_text(Listening().to_json())
            await _hear(socket, sender)
    except (MessageError, SamplesError) as error:
        raise ClosedError(BAD_MESSAGE, str(error)) from None


def _wanted(address: WebAddress, sent: AudioFormat, shown: Shown) -> WebMicrophone:
    if _role(address, sent.token) != "takes part":
        raise ClosedError(NOT_ALLOWED, "this link is to look on only")
    if shown.microphone is None:
        raise SamplesError("no audio is wanted: emotrack listens to something else")
    return shown.microphone


async def _hear(socket: WebSocket, sender: AudioSender) -> None:
    while True:
        message = await _message(socket)
        if (pcm := message.get("bytes")) is None:
            raise SamplesError("after the format come samples, in binary messages")
        await sender.put(pcm)


def _role(address: WebAddress, token: str | None) -> Role:
    if (role := address.role(token)) is None:
        raise ClosedError(NOT_ALLOWED, "the link lacks its token, or has one of before a restart")
    return role


async def _first(socket: WebSocket) -> str:
    try:
        async with asyncio.timeout(ENTER_S):
            return await _text(socket)
    except TimeoutError:
        raise ClosedError(BAD_MESSAGE, "nothing was said") from None


async def _text(socket: WebSocket) -> str:
    text = (await _message(socket)).get("text")
    if text is None:
        raise ClosedError(BAD_MESSAGE, "a message is text here")
    return str(text)


async def _message(socket: WebSocket) -> Any:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    return message


async def _first_to_end(*works: Awaitable[None]) -> None:
    """Run all until one ends, which decides how; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    for result in done:
        if isinstance(result, Exception):
            raise result
