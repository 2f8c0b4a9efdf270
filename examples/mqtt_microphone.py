"""Play a recording as a microphone that sends over MQTT, as a Hermes satellite does: one small WAV a message.

    python examples/mqtt_microphone.py [--broker HOST[:PORT]] [--site NAME] [--speed 1] [FILE]

With no FILE the bundled conversation is played. Watch what the tracker makes of it with

    emotrack live --mqtt mqtt://localhost/
    mosquitto_sub -v -t 'emotrack/#'
"""

from __future__ import annotations

import argparse
import asyncio
import io
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import av

CONVERSATION = Path(__file__).parent / "kitchen-table.flac"
RATE = 16_000  # Hz
FRAME_SAMPLES = 512  # 32 ms


def frames(path: Path) -> Iterator[bytes]:
    """The recording as mono WAVs of 32 ms each."""
    converter = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=FRAME_SAMPLES)
    with av.open(str(path)) as container:
        for frame in [*container.decode(audio=0), None]:
            for piece in converter.resample(frame):
                yield wav(piece.to_ndarray().tobytes())


def wav(pcm: bytes) -> bytes:
    """16-bit samples with a header of their own."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(pcm)
    return file.getvalue()


async def play(host: str, port: int, site: str, path: Path, speed: float) -> None:
    """Send the frames at ``speed`` times the pace at which they were spoken, then two seconds of silence."""
    silence = [wav(bytes(2 * FRAME_SAMPLES))] * round(2 * RATE / FRAME_SAMPLES)
    async with aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        began = time.monotonic()
        for number, frame in enumerate([*frames(path), *silence], start=1):
            await client.publish(f"hermes/audioServer/{site}/audioFrame", frame)
            due = began + number * FRAME_SAMPLES / RATE / speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=CONVERSATION)
    parser.add_argument("--broker", default="localhost", metavar="HOST[:PORT]")
    parser.add_argument("--site", default="kitchen")
    parser.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    host, _, port = arguments.broker.partition(":")
    asyncio.run(play(host, int(port or 1883), arguments.site, arguments.file, arguments.speed))


if __name__ == "__main__":
    main()
