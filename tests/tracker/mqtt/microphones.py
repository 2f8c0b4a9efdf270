"""Many microphones in one small process: a socket and a few bytes of MQTT for each.

    python -m tests.tracker.mqtt.microphones PORT SITES SECONDS [SPEED]

Every site hears the bundled conversation, again and again, each from another place on, as Hermes frames of 32 ms. With
SPEED 0 the frames go out as quickly as the sockets take them. Prints how many frames each site was sent, and how late
the latest of them was, in seconds.
"""

from __future__ import annotations

import io
import socket
import sys
import time
import wave

import numpy as np

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from tests.tracker.kitchen_table import samples

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE


def wav(audio: Samples, rate: int = SAMPLE_RATE) -> bytes:
    """(samples,) or (samples, channels) as a 16-bit WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1 if audio.ndim == 1 else audio.shape[1], 2, rate, 0, "NONE", ""))
        writer.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def frames(seconds: float | None = None) -> list[bytes]:
    """The bundled conversation in Hermes frames, all of it or its beginning."""
    mono = samples().mean(axis=1)
    whole = len(mono) if seconds is None else round(seconds * SAMPLE_RATE)
    return [wav(mono[at : at + FRAME_SAMPLES]) for at in range(0, whole - FRAME_SAMPLES + 1, FRAME_SAMPLES)]


class Sender:
    """A client that publishes with QoS 0 and does nothing else (MQTT 3.1.1)."""

    def __init__(self, port: int, client_id: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = _text("MQTT") + b"\x04\x02\x00\x00" + _text(client_id)  # clean session, no keep-alive
        self._socket.sendall(b"\x10" + _length(len(body)) + body)
        assert self._socket.recv(4) == b"\x20\x02\x00\x00"

    def publish(self, topic: str, payload: bytes) -> None:
        body = _text(topic) + payload
        self._socket.sendall(b"\x30" + _length(len(body)) + body)

    def close(self) -> None:
        self._socket.sendall(b"\xe0\x00")
        self._socket.close()


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _length(number: int) -> bytes:
    """MQTT's variable byte integer."""
    found = bytearray()
    while True:
        number, low = divmod(number, 128)
        found.append(low | (0x80 if number else 0))
        if not number:
            return bytes(found)


def main(port: int, sites: int, seconds: float, speed: float = 1.0) -> None:
    conversation = frames()
    senders = [Sender(port, f"microphone-{site}") for site in range(sites)]
    began = time.monotonic()
    count = round(seconds / FRAME_S)
    latest_s = 0.0
    for number in range(count):
        for site, sender in enumerate(senders):
            # Spread over the frame, as microphones that know nothing of each other are.
            if speed:
                due = began + (number + site / sites) * FRAME_S / speed
                time.sleep(max(0.0, due - time.monotonic()))
                latest_s = max(latest_s, time.monotonic() - due)
            frame = conversation[(number + site * 97) % len(conversation)]
            sender.publish(f"hermes/audioServer/site{site}/audioFrame", frame)
    for sender in senders:
        sender.close()
    print(count, latest_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *map(float, sys.argv[4:]))
