"""Who comes over TCP, and what is answered: ``describe`` with ``info``, an utterance with its ``transcript``.

Whoever speaks gets a site that nobody else speaks to. One at a time, all speak to the first site, whose context their
turns share; those who speak at once get further sites, which stay open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from importlib.metadata import version
from typing import Final

from wyoming.asr import Transcript as WyomingTranscript
from wyoming.audio import AudioChunk as WyomingAudio
from wyoming.audio import AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info

from emotrack.tracker.errors import SinkError
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.recognisers import Recogniser
from emotrack.tracker.wyoming.messages import (
    MAX_LINE_BYTES,
    PcmFormat,
    PcmReader,
    WyomingError,
    pcm_format,
    read_message,
)
from emotrack.tracker.wyoming.site import UtteranceOptions, WyomingSite

_log = logging.getLogger(__name__)

MAX_SITES: Final = 8  # that speak at once
MAX_CONNECTIONS: Final = 64
IDLE_S: Final = 600.0  # that a connection may say nothing
STALLED_S: Final = 10.0  # that a connection may say nothing in the middle of an utterance
WRITE_S: Final = 10.0  # that whoever asked may take to read the answer
HANG_UP_S: Final = 1.0  # that they may still send before the connection ends


class WyomingServer:
    """Serves on a socket that is bound already, until it is told to stop."""

    def __init__(self, bound: socket.socket, engine: Engine, options: UtteranceOptions) -> None:
        """The engine must have a recogniser."""
        assert engine.recogniser is not None  # noqa: S101
        self._bound = bound
        self._engine = engine
        self._options = options
        self._info = service_info(engine.recogniser).event()
        self._sites: list[WyomingSite] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._end_reason = ""

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self, reason: str) -> None:
        """End every session in order, then ``run``."""
        self._end_reason = reason
        self._stopping.set()

    async def run(self) -> None:
        """Open the first site, so that it is there before anybody speaks, and serve until ``stop``.

        Raises ``EmotrackError`` at last if events could not be delivered.
        """
        self._open_site()
        server = await asyncio.start_server(self._come, sock=self._bound, limit=MAX_LINE_BYTES)
        try:
            await self._stopping.wait()
        finally:
            server.close()
            for site in self._sites:
                site.stop(self._end_reason)
            await asyncio.gather(*(site.running for site in self._sites))
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
        if failure := next((site.failure for site in self._sites if site.failure), None):
            raise failure

    # -- connections ---------------------------------------------------------------------------------------------------

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the connection ends, or something is said on it that cannot be followed."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                self._check_room()
                while (message := await _next(reader, IDLE_S)) is not None:
                    await self._answer(message, reader, writer)
            except WyomingError as error:  # Home Assistant waits for a transcript, or for the end of the connection
                await _write(writer, Error(str(error), error.code).event())
                await _hang_up(reader, writer)
            finally:
                writer.close()

    def _check_room(self) -> None:
        if len(self._connections) > MAX_CONNECTIONS:
            raise WyomingError("busy", f"{MAX_CONNECTIONS} connections are open; there is room for no more")

    async def _answer(self, message: Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Follow a message between utterances; what nobody here knows is passed over, as the protocol wants it."""
        if Describe.is_type(message.type):
            await _write(writer, self._info)
        elif AudioStart.is_type(message.type):
            layout = pcm_format(message.data)
            words = await self._hear(self._free_site(), layout, reader)
            if words is not None:
                await _write(writer, WyomingTranscript(words).event())
        elif WyomingAudio.is_type(message.type) or AudioStop.is_type(message.type):
            raise WyomingError("bad_message", "an utterance begins with audio-start")

    async def _hear(self, site: WyomingSite, layout: PcmFormat, reader: asyncio.StreamReader) -> str | None:
        """The words of the utterance that begins; None where the connection ends before it."""
        is_over = False
        reading = PcmReader(layout)
        try:
            while (message := await _next(reader, STALLED_S)) is not None:
                if WyomingAudio.is_type(message.type):
                    if pcm_format(message.data) != layout:
                        raise WyomingError("bad_audio", "the audio is not as audio-start said")
                    await site.hear(reading.samples(message.payload or b""), layout.rate)
                elif AudioStop.is_type(message.type):
                    is_over = True
                    return await site.end()
            return None
        finally:
            if not is_over:  # what was said until then is a turn all the same
                with contextlib.suppress(WyomingError):
                    await site.end()

    # -- sites ---------------------------------------------------------------------------------------------------------

    def _free_site(self) -> WyomingSite:
        """A site for the utterance that begins. Raises ``WyomingError`` where there is none."""
        self._sites = [site for site in self._sites if not site.running.done()]
        site = next((site for site in self._sites if site.is_free), None)
        if site is None:
            if len(self._sites) >= MAX_SITES or self.is_stopping:
                raise WyomingError("busy", f"{len(self._sites)} speak at once; there is room for no more")
            try:
                site = self._open_site()
            except SinkError as error:
                _log.warning("%s", error)
                raise WyomingError("failed", "what is said could not be kept") from None
        site.begin()
        return site

    def _open_site(self) -> WyomingSite:
        first = self._options.site
        names = [first, *(f"{first}-{number}" for number in range(2, MAX_SITES + 1))]
        taken = {site.name for site in self._sites}
        site = WyomingSite(next(name for name in names if name not in taken), self._engine, self._options)
        self._sites.append(site)
        _log.info("%s: listening", site.name)
        return site


def service_info(recogniser: Recogniser) -> Info:
    """What Home Assistant is told of the service when it is added."""
    ours = version("emotrack")
    authors = Attribution("The emotrack authors", "https://github.com/emotrack/emotrack")
    model = AsrModel(
        name=recogniser.name,
        attribution=authors,
        installed=True,
        description=recogniser.name,
        version=ours,
        languages=list(recogniser.languages),
    )
    return Info(
        asr=[
            AsrProgram(
                name="emotrack",
                attribution=authors,
                installed=True,
                description="Speech recognition that tells how everybody sounds",
                version=ours,
                models=[model],
            )
        ]
    )


async def _next(reader: asyncio.StreamReader, within_s: float) -> Event | None:
    try:
        async with asyncio.timeout(within_s):
            return await read_message(reader)
    except TimeoutError:
        raise WyomingError("stalled", f"nothing was said for {within_s:.0f} s") from None


async def _write(writer: asyncio.StreamWriter, message: Event) -> None:
    async with asyncio.timeout(WRITE_S):
        await async_write_event(message, writer)


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing more, and hear out what is on its way: to close at once could take the answer back."""
    with contextlib.suppress(OSError):  # they have hung up already
        writer.write_eof()
    async with asyncio.timeout(HANG_UP_S):
        while await reader.read(MAX_LINE_BYTES):
            pass
