"""Every kind of file that people have, good and bad."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
import threading
import time
import wave
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
import soxr

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.file import File

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def tone(seconds: float, rate: int, channels: int = 1) -> Samples:
    """Channel n sounds at (n + 1) * 300 Hz."""
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.4 * np.sin(2 * np.pi * 300 * (n + 1) * t) for n in range(channels)], 1).astype(np.float32)


def write_float(path: Path, samples: Samples, rate: int) -> Path:
    """A WAV file of 32-bit floats, written by hand."""
    data = samples.astype("<f4").tobytes()
    channels = samples.shape[1]
    fmt = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def write_wave(path: Path, samples: Samples, rate: int, width: int) -> Path:
    """A WAV file of 1, 2, 3 or 4 bytes a sample."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        whole = np.round(samples.astype(np.float64) * (2 ** (8 * width - 1) - 1)).astype("<i8")
        if width == 1:
            whole += 128
        file.writeframes(np.ascontiguousarray(whole[..., None].view(np.uint8)[..., :width]).tobytes())
    return path


def encode(path: Path, samples: Samples, rate: int, codec: str, sample_format: str = "fltp") -> Path:
    """Any file that FFmpeg writes."""
    layout = LAYOUTS[samples.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, format=sample_format)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        size = stream.frame_size or 4096
        for piece in av.AudioResampler(sample_format, layout, rate, frame_size=size).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


async def collect(source: File) -> list[AudioChunk]:
    return [chunk async for chunk in source.items()]


def read(path: Path, channels: Literal["mix", "split"] = "mix") -> Samples:
    source = File(path, channels, realtime=False)
    chunks = asyncio.run(collect(source))
    assert all(chunk.samples.shape[1] == source.channels for chunk in chunks)
    assert all(chunk.samples.dtype == np.float32 for chunk in chunks)
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    return np.concatenate([chunk.samples for chunk in chunks])


def read_until_broken(path: Path, channels: Literal["mix", "split"] = "mix") -> tuple[float, str]:
    """Seconds delivered, and the error that comes at the end."""

    async def run() -> tuple[float, str]:
        end = 0
        try:
            async for chunk in File(path, channels, realtime=False).items():
                end = chunk.end
        except SourceError as error:
            return end / SAMPLE_RATE, str(error)
        return end / SAMPLE_RATE, ""

    return asyncio.run(run())


def open_files(path: Path) -> list[int]:
    """How far each open handle of ``path`` in this process has been read, in bytes."""
    return [
        int(Path("/proc/self/fdinfo", link.name).read_text().split()[1])
        for link in Path("/proc/self/fd").iterdir()
        if link.resolve() == path.resolve()
    ]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000, 192_000])
def test_equals_resampling_the_whole_file(tmp_path: Path, rate: int) -> None:
    samples = np.random.default_rng(3).uniform(-1, 1, (round(2.3 * rate), 2)).astype(np.float32)
    mixture = samples.mean(axis=1, keepdims=True, dtype=np.float32)
    expected = mixture if rate == SAMPLE_RATE else soxr.resample(mixture, rate, SAMPLE_RATE, quality="HQ")
    assert np.array_equal(read(write_float(tmp_path / "x.wav", samples, rate)), expected)


@pytest.mark.parametrize(("width", "tolerance"), [(1, 1e-2), (2, 1e-4), (3, 1e-6), (4, 1e-6)])
def test_whole_number_formats(tmp_path: Path, width: int, tolerance: float) -> None:
    samples = tone(0.5, SAMPLE_RATE, 2)
    heard = read(write_wave(tmp_path / "x.wav", samples, SAMPLE_RATE, width), "split")
    assert np.abs(heard - samples).max() < tolerance


@pytest.mark.parametrize(
    ("name", "codec", "sample_format", "channels"),
    [
        ("x.flac", "flac", "s16", 2),
        ("x.flac", "flac", "s32", 8),
        ("x.wav", "pcm_f64le", "dbl", 2),
        ("x.w64", "pcm_s64le", "s64", 1),
        ("x.aiff", "pcm_s16be", "s16", 6),
        ("x.m4a", "aac", "fltp", 8),
        ("x.mp3", "libmp3lame", "fltp", 2),
        ("x.ogg", "libopus", "flt", 2),
        ("x.webm", "libopus", "flt", 1),
    ],
)
def test_formats_and_codecs(tmp_path: Path, name: str, codec: str, sample_format: str, channels: int) -> None:
    path = encode(tmp_path / name, tone(1.0, 48_000, channels), 48_000, codec, sample_format)
    heard = read(path, "split")
    assert heard.shape[1] == channels
    assert abs(len(heard) - SAMPLE_RATE) < 0.1 * SAMPLE_RATE
    assert 0.2 < np.abs(heard[4000:12000]).max() < 0.6


def test_split_keeps_channels_apart_and_mix_averages(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(1.0, 48_000, 6), 48_000)
    apart = read(path, "split")
    spectrum = np.abs(np.fft.rfft(apart, axis=0))
    assert [int(peak) for peak in spectrum.argmax(axis=0)] == [300, 600, 900, 1200, 1500, 1800]
    assert np.abs(read(path, "mix") - apart.mean(axis=1, keepdims=True)).max() < 1e-5


def test_too_many_channels_to_split(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(0.2, 48_000, 10), 48_000)
    assert read(path, "mix").shape[1] == 1
    with pytest.raises(SourceError, match="10 channels"):
        File(path, "split", realtime=False)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("these are words\n" * 100)
    (tmp_path / "noise.mp3").write_bytes(bytes([0x55, 0xAA, 3]) * 3000)
    (tmp_path / "nothing.wav").touch()
    os.mkfifo(tmp_path / "pipe")
    write_wave(tmp_path / "header.wav", np.empty((0, 1), np.float32), 16_000, 2)
    write_wave(tmp_path / "rate.wav", tone(0.1, 16_000), 2_000_000_000, 2)
    with av.open(str(tmp_path / "silent-film.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    for name, reason in {
        "absent.wav": "no such file",
        "text.wav/inside.wav": "cannot be read",
        ".": "is a folder",
        "pipe": "not a regular file",
        "nothing.wav": "is empty",
        "header.wav": "contains no samples",
        "text.wav": "decode",
        "noise.mp3": "decode",
        "rate.wav": "not audio",
        "silent-film.mkv": "contains no audio",
        "zero\0byte.wav": "cannot be read",
        "x" * 300: "cannot be read",
    }.items():
        with pytest.raises(SourceError, match=reason) as caught:
            File(tmp_path / name, "mix", realtime=False)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_one_may_not_read(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(0.1, 16_000), 16_000)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # nobody: root may read everything
    try:
        with pytest.raises(SourceError, match="cannot be read"):
            File(path, "mix", realtime=False)
    finally:
        if root:
            os.seteuid(0)


def test_odd_names(tmp_path: Path) -> None:
    for name in ("http:x.wav", "a b %d 'ü'.wav", "-y.wav"):
        assert len(read(write_float(tmp_path / name, tone(0.1, 16_000), 16_000))) == 1600


def test_samples_that_are_no_numbers(tmp_path: Path, notices: list[str]) -> None:
    samples = tone(1.0, 48_000, 2)
    samples[24_000:24_010] = np.nan
    samples[30_000] = [np.inf, 1e30]
    source = File(write_float(tmp_path / "x.wav", samples, 48_000), "mix", realtime=False)
    heard = np.concatenate([chunk.samples for chunk in asyncio.run(collect(source))])
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() < 1
    assert source.unusable_samples == 22
    assert len(notices) == 1
    assert "no numbers" in notices[0]


@pytest.mark.parametrize(
    ("name", "codec", "sample_format"),
    [
        ("x.wav", "pcm_s16le", "s16"),
        ("x.flac", "flac", "s16"),
        ("x.mp3", "libmp3lame", "fltp"),
        ("x.aiff", "pcm_s16be", "s16"),
        ("x.mkv", "pcm_s16le", "s16"),
        ("x.aac", "aac", "fltp"),
    ],
)
def test_a_file_that_breaks_off(tmp_path: Path, name: str, codec: str, sample_format: str) -> None:
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, (6 * 44_100, 1)).astype(np.float32)
    path = encode(tmp_path / name, noise, 44_100, codec, sample_format)
    assert read_until_broken(path)[1] == ""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 - 1])
    seconds, error = read_until_broken(path)
    assert 2.5 < seconds < 3.1
    assert f"breaks off after {seconds:.1f} s" in error
    assert str(path) in error


def test_a_header_of_unknown_length_is_believed_by_nobody(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(1.0, 16_000), 16_000)
    content = bytearray(path.read_bytes())
    for unknown in (0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0):
        content[40:44] = struct.pack("<I", unknown)
        path.write_bytes(content)
        if unknown:
            assert read_until_broken(path) == (1.0, "")


@pytest.mark.parametrize(("name", "codec", "sample_format"), [("x.flac", "flac", "s16"), ("x.m4a", "aac", "fltp")])
def test_damage_in_the_middle_is_left_out_and_the_clock_goes_on(
    tmp_path: Path, name: str, codec: str, sample_format: str, notices: list[str]
) -> None:
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, (6 * 48_000, 1)).astype(np.float32)
    path = encode(tmp_path / name, noise, 48_000, codec, sample_format)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    chunks = asyncio.run(collect(File(path, "mix", realtime=False)))
    gaps = [after.start - before.end for before, after in itertools.pairwise(chunks)]
    assert sum(gaps) > 0.1 * SAMPLE_RATE
    assert min(gaps) == 0
    assert chunks[-1].end / SAMPLE_RATE == pytest.approx(6.0, abs=0.15)
    assert len(notices) == 1
    assert "damaged" in notices[0]


def test_a_change_of_format_in_the_middle(tmp_path: Path) -> None:
    """ADTS files can be joined end to end; the rate and the channels then change on the way."""
    path = tmp_path / "x.aac"
    first = encode(tmp_path / "a.aac", tone(2.0, 48_000, 1), 48_000, "aac").read_bytes()
    second = encode(tmp_path / "b.aac", tone(2.0, 24_000, 2), 24_000, "aac").read_bytes()
    path.write_bytes(first + second)
    assert len(read(path, "mix")) / SAMPLE_RATE == pytest.approx(4.0, abs=0.3)

    heard, error = read_until_broken(path, "split")
    assert heard == pytest.approx(2.0, abs=0.15)
    assert "from 1 to 2 channels" in error


def test_paced_as_real_time(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(1.5, 48_000), 48_000)

    async def run() -> tuple[float, list[float]]:
        began = time.monotonic()
        early = []
        async for chunk in File(path, "mix", realtime=True).items():
            early.append(chunk.end / SAMPLE_RATE - (time.monotonic() - began))
            if chunk.start == 3200:
                await asyncio.sleep(0.35)  # a slow reader for once: must not delay what comes after
        return time.monotonic() - began, early

    took, early = asyncio.run(run())
    assert 1.4 < took < 2.0
    assert max(early) < 0.05


def test_as_quick_as_the_reader_without_blocking_the_loop(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(60.0, 44_100, 2), 44_100)

    async def run() -> tuple[float, float]:
        longest = 0.0
        done = False

        async def watch() -> None:
            nonlocal longest
            while not done:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                longest = max(longest, time.monotonic() - before)

        watcher = asyncio.create_task(watch())
        began = time.monotonic()
        chunks = await collect(File(path, "mix", realtime=False))
        took = time.monotonic() - began
        done = True
        await watcher
        assert chunks[-1].end == 60 * SAMPLE_RATE
        return took, longest

    took, longest = asyncio.run(run())
    assert took < 15
    assert longest < 0.5


def test_closing_early_frees_the_file_and_the_thread(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(30.0, 44_100), 44_100)

    async def run(realtime: bool) -> None:
        items = File(path, "mix", realtime).items()
        await anext(items)
        began = time.monotonic()
        await items.aclose()
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.1)
        assert not any(thread.name.startswith("decoder") for thread in threading.enumerate())
        assert not open_files(path)

    asyncio.run(run(realtime=False))
    asyncio.run(run(realtime=True))


def test_only_a_little_is_decoded_ahead(tmp_path: Path) -> None:
    path = write_float(tmp_path / "x.wav", tone(30.0, 16_000), 16_000)
    source = File(path, "mix", realtime=False)

    async def run() -> None:
        items = source.items()
        await anext(items)
        await asyncio.sleep(0.3)
        (offset,) = open_files(path)
        assert offset < 6 * SAMPLE_RATE * 4
        await items.aclose()

    asyncio.run(run())
