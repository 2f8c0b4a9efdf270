"""Sound that is there and could be lost or moved without a word: clocks, headers, channels, tracks."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources import decoder
from emotrack.tracker.sources.file import File
from tests.noticing import noticed
from tests.tracker.sources.test_file import encode, tone, write_float, write_wave

RATE = 48_000
SECONDS = 4.0
PCM = "0100000000001000800000aa00389b71"  # KSDATAFORMAT_SUBTYPE_PCM


def hear(
    path: Path, channels: Literal["mix", "split"] = "mix", track: int | None = None
) -> tuple[Samples, list[str], str]:
    """Everything on the source's clock, (samples, channels), with zeros where nothing came; notices; the error."""
    source = File(path, channels, realtime=False, track=track)
    whole = np.zeros((100 * SAMPLE_RATE, source.channels), np.float32)
    end = 0

    async def run() -> None:
        nonlocal end
        async for chunk in source.items():
            assert chunk.start >= end
            end = chunk.end
            whole[chunk.start : end] = chunk.samples

    with noticed() as notices:
        try:
            asyncio.run(run())
        except SourceError as error:
            return whole[:end], notices, str(error)
    return whole[:end], notices, ""


def loud_from_s(samples: Samples) -> float:
    """When it gets loud."""
    return float(np.flatnonzero(np.abs(samples[:, 0]) > 0.2)[0]) / SAMPLE_RATE


def click(seconds: float = SECONDS, at_s: float = 1.0) -> Samples:
    """Nearly silent, then loud from ``at_s`` on."""
    samples = tone(seconds, RATE)
    samples[: round(at_s * RATE)] *= 0.01
    return samples


def container(
    path: Path,
    *tracks: Samples,
    codec: str = "aac",
    starts_s: float = 0.0,
    video: str | None = None,
    gap: tuple[float, float] | None = None,
) -> Path:
    """A file whose audio tracks begin at ``starts_s``, beside pictures from 0 on where ``video`` is a codec.

    ``gap`` is where the time stamps jump, in seconds of the audio, and how far.
    """
    with av.open(str(path), "w") as file:
        pictures = file.add_stream(video, rate=5) if video else None
        streams: list[Any] = [file.add_stream(codec, rate=RATE, layout="mono") for _ in tracks]
        if pictures:
            assert isinstance(pictures, av.VideoStream)
            pictures.width = pictures.height = 64
            for _ in range(round(5 * (SECONDS + starts_s))):
                file.mux(pictures.encode(av.VideoFrame(64, 64, "yuv420p")))
            file.mux(pictures.encode(None))
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate = RATE
            made = 0
            for piece in av.AudioResampler(stream.format.name, "mono", RATE, stream.frame_size or RATE // 10).resample(
                frame
            ):
                jump_s = gap[1] if gap and made >= gap[0] * RATE else 0.0
                piece.pts, piece.time_base = made + round((starts_s + jump_s) * RATE), Fraction(1, RATE)
                made += piece.samples
                file.mux(stream.encode(piece))
            file.mux(stream.encode(None))
    return path


def wav(path: Path, form: bytes, data: bytes, length: int | None = None, riff: bytes = b"RIFF") -> Path:
    """A WAV file with any header."""
    long = b""
    length = len(data) if length is None else length
    if riff != b"RIFF":
        long = b"ds64" + struct.pack("<IQQQI", 28, len(data), length, 0, 0)
        length = 0xFFFF_FFFF
    path.write_bytes(
        riff
        + struct.pack("<I", 0xFFFF_FFFF)
        + b"WAVE"
        + long
        + b"fmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", length)
        + data
    )
    return path


def plain_form(encoding: int = 1, bits: int = 16, channels: int = 1, rate: int = SAMPLE_RATE) -> bytes:
    block = channels * bits // 8
    return struct.pack("<HHIIHH", encoding, channels, rate, rate * block, block, bits)


def extensible_form(valid: int, bits: int, channels: int = 1, rate: int = SAMPLE_RATE, encoding: int = 1) -> bytes:
    form = plain_form(0xFFFE, bits, channels, rate) + struct.pack("<HHI", 22, valid, 0)
    return form + struct.pack("<H", encoding) + bytes.fromhex(PCM)[2:]


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "video"),
    [
        ("x.mkv", "aac", None),
        ("x.mkv", "flac", "mpeg4"),
        ("x.mka", "libmp3lame", None),
        ("x.webm", "libopus", None),
        ("x.webm", "libopus", "libvpx"),
        ("x.mp4", "aac", "mpeg4"),
        ("x.m4a", "aac", None),
        ("x.mov", "pcm_s16le", "mpeg4"),
        ("x.ogg", "libopus", None),
        ("x.flv", "aac", None),
        ("x.ts", "aac", "mpeg2video"),
    ],
)
@pytest.mark.parametrize("starts_s", [0.0, 2.75])
def test_the_clock_of_the_container_is_kept(
    tmp_path: Path, name: str, codec: str, video: str | None, starts_s: float
) -> None:
    path = container(tmp_path / name, click(), codec=codec, starts_s=starts_s, video=video)
    samples, notices, error = hear(path)
    assert error == ""
    assert loud_from_s(samples) == pytest.approx(starts_s + 1.0, abs=0.05)
    assert len(samples) / SAMPLE_RATE == pytest.approx(starts_s + SECONDS, abs=0.1)
    assert [("begins at 2.8 s" in line or "begins at 2.7 s" in line) for line in notices] == [True] * bool(starts_s)


def test_a_clock_without_a_zero_begins_with_the_file(tmp_path: Path) -> None:
    samples, notices, error = hear(container(tmp_path / "x.ts", click(), starts_s=3.0))
    assert loud_from_s(samples) == pytest.approx(1.0, abs=0.05)
    assert (notices, error) == ([], "")


@pytest.mark.parametrize(("name", "codec"), [("x.mkv", "aac"), ("x.mp4", "aac"), ("x.webm", "libopus")])
@pytest.mark.parametrize("jump_s", [2.0, 70.0])
def test_a_gap_in_the_time_stamps_moves_the_clock_on(tmp_path: Path, name: str, codec: str, jump_s: float) -> None:
    path = container(tmp_path / name, click(at_s=3.0), codec=codec, starts_s=0.5, gap=(2.0, jump_s))
    samples, notices, error = hear(path)
    assert error == ""
    assert loud_from_s(samples) == pytest.approx(3.5 + jump_s, abs=0.05)
    assert ["begins at" in notices[0], "no sound from 2." in notices[1], len(notices)] == [True, True, 2]


def test_what_lies_before_the_beginning_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    content = bytearray(container(path, click(), codec="pcm_s16le").read_bytes())
    with av.open(str(path)) as file:
        first = next(file.demux())
        assert first.duration
        place = content.index(bytes(first)[:64]) - 4  # the block's header: track, time (16 bits), flags
    first_ms, step_ms = 0, round(1000 * first.duration * first.time_base)
    while (at := content.find(b"\x81" + struct.pack(">h", first_ms), place)) >= 0:
        content[at + 1 : at + 3] = struct.pack(">h", first_ms - 500)
        place, first_ms = at + 4, first_ms + step_ms
    path.write_bytes(content)
    samples, notices, _ = hear(path)
    assert loud_from_s(samples) == pytest.approx(0.5, abs=0.05)
    assert [line for line in notices if "0.5 s of it lie before the beginning" in line]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg's own program writes edit lists")
def test_a_cut_by_an_edit_list(tmp_path: Path) -> None:
    whole = container(tmp_path / "whole.m4a", click(), codec="aac")
    cut = tmp_path / "cut.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-ss", "0.6", "-t", "2", "-i", whole, "-c", "copy", cut], check=True)
    samples, notices, error = hear(cut)
    assert (notices, error) == ([], "")
    assert loud_from_s(samples) == pytest.approx(0.4, abs=0.05)
    assert len(samples) / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)


def test_late_audio_that_breaks_off(tmp_path: Path) -> None:
    path = container(tmp_path / "x.mkv", click(), codec="libopus", starts_s=2.0, video="mpeg4")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    samples, _, error = hear(path)
    assert f"breaks off after {len(samples) / SAMPLE_RATE:.1f} s of 6.0 s" in error


def test_late_audio_comes_at_once(tmp_path: Path) -> None:
    path = container(tmp_path / "x.mkv", click(0.5, 0.0), codec="flac", starts_s=50.0)

    async def run() -> None:
        async with asyncio.timeout(10):
            first = await anext(File(path, "mix", realtime=True).items())
            assert first.start == 50 * SAMPLE_RATE

    asyncio.run(run())


# -- headers of WAV files --------------------------------------------------------------------------------------------

TONE = tone(2.0, SAMPLE_RATE)
S16 = np.round(TONE * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("length", [0, 2, 2001, len(S16) - 1, len(S16) + 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF - 36])
def test_all_audio_is_heard_whatever_the_header_says(tmp_path: Path, length: int) -> None:
    samples, notices, error = hear(wav(tmp_path / "x.wav", plain_form(), S16, length))
    assert np.abs(samples[: len(TONE) - 1] - TONE[:-1]).max() < 1e-4
    assert len(TONE) - 1 <= len(samples) <= len(TONE)
    assert error == ""
    assert ["its header tells of" in line for line in notices] == [True] * (length in {2, 2001})


@pytest.mark.parametrize("length", [2000, 0, 2**64 - 1, 2**63])
@pytest.mark.parametrize("riff", [b"RF64", b"BW64"])
def test_long_forms_with_wrong_lengths(tmp_path: Path, riff: bytes, length: int) -> None:
    samples, notices, error = hear(wav(tmp_path / "x.wav", plain_form(), S16, length, riff))
    assert np.abs(samples - TONE).max() < 1e-4
    assert (len(notices), error) == (length == 2000, "")


def test_further_chunks_are_no_audio(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", plain_form(), S16)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 40_000) + b"\x30\x40" * 20_000)
    samples, notices, error = hear(path)
    assert (len(samples), notices, error) == (len(TONE), [], "")
    path = wav(tmp_path / "y.wav", plain_form(), b"")
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"abcd")
    with pytest.raises(SourceError, match="contains no samples"):
        File(path, "mix", realtime=False)


def test_long_forms_that_break_off(tmp_path: Path) -> None:
    for riff in (b"RF64", b"BW64"):
        samples, _, error = hear(wav(tmp_path / "x.wav", plain_form(), S16, 2 * len(S16), riff))
        assert len(samples) == len(TONE)
        assert "breaks off after 2.0 s of 4.0 s" in error
    for codec, sample_format, name in (
        ("pcm_s16le", "s16", "x.w64"),
        ("pcm_s24le", "s32", "x.wav"),
        ("pcm_mulaw", "s16", "x.wav"),
        ("adpcm_ima_wav", "s16p", "x.wav"),
        ("pcm_s16be", "s16", "x.caf"),
    ):
        path = encode(tmp_path / name, click(), RATE, codec, sample_format)
        assert hear(path)[2] == ""
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        assert "breaks off after 2.4 s" in hear(path)[2]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("valid", "bits"), [(24, 32), (20, 32), (16, 32), (20, 24), (12, 16), (24, 24), (32, 32), (0, 16)]
)
def test_samples_with_room_to_spare(tmp_path: Path, valid: int, bits: int, channels: int) -> None:
    whole = np.repeat(np.round(TONE.astype(np.float64) * (2 ** ((valid or bits) - 1) - 1)), channels, axis=1)
    numbers = whole.astype("<i8") << (bits - (valid or bits))
    data = np.ascontiguousarray(numbers[..., None].view(np.uint8)[..., : bits // 8]).tobytes()
    path = wav(tmp_path / "x.wav", extensible_form(valid, bits, channels), data)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"abcd")
    samples, notices, error = hear(path, "split")
    assert np.abs(samples - TONE).max() < 2e-3
    assert (samples.shape, error) == ((len(TONE), channels), "")
    assert "no numbers" not in "".join(notices)


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (extensible_form(32, 32, encoding=3), TONE.astype("<f4").tobytes()),
        (plain_form(3, 64), TONE.astype("<f8").tobytes()),
        (plain_form(1, 8), (TONE * 127 + 128).astype(np.uint8).tobytes()),
    ],
)
@pytest.mark.parametrize("length", [None, 800])
def test_other_samples(tmp_path: Path, form: bytes, data: bytes, length: int | None) -> None:
    samples, _, error = hear(wav(tmp_path / "x.wav", form, data, length))
    assert np.abs(samples - TONE).max() < 0.02
    assert error == ""


def test_codecs_in_a_wav_of_unknown_length(tmp_path: Path) -> None:
    for codec, sample_format in (("pcm_mulaw", "s16"), ("pcm_alaw", "s16"), ("adpcm_ms", "s16")):
        path = encode(tmp_path / "x.wav", click(), RATE, codec, sample_format)
        content = bytearray(path.read_bytes())
        at = content.index(b"data") + 4
        for length in (0, 4096, 0xFFFF_FFFF):
            content[at : at + 4] = struct.pack("<I", length)
            path.write_bytes(content)
            samples, _, error = hear(path)
            assert error == ""
            assert len(samples) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.1)
            assert loud_from_s(samples) == pytest.approx(1.0, abs=0.01)


# -- channels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "codec", "sample_format"), [("x.wav", "pcm_s16le", "s16"), ("x.m4a", "aac", "fltp")])
@pytest.mark.parametrize("gain", [-1.0, -0.8])
def test_channels_that_cancel_each_other(
    tmp_path: Path, name: str, codec: str, sample_format: str, gain: float
) -> None:
    voice = click()
    path = encode(tmp_path / name, np.concatenate([voice, gain * voice], axis=1), RATE, codec, sample_format)
    samples, notices, error = hear(path)
    assert np.abs(samples).max() == pytest.approx(0.4, abs=0.02)
    (line,) = notices
    assert "mixed, its channels cancel each other; channel 1 alone is heard" in line
    assert error == ""


def test_channels_that_do_not_cancel(tmp_path: Path) -> None:
    voice = click()
    for other in (
        voice,
        np.zeros_like(voice),
        0.5 * voice,
        np.roll(voice, 7),
        tone(SECONDS, RATE, 2)[:, 1:],
        -0.3 * voice,
    ):
        both = np.concatenate([voice, other], axis=1)
        samples, notices, _ = hear(write_float(tmp_path / "x.wav", both, RATE))
        assert notices == []
        assert np.abs(samples[: 3 * SAMPLE_RATE]).max() == pytest.approx(np.abs(both.mean(axis=1)).max(), rel=0.02)


def test_one_channel_of_six(tmp_path: Path) -> None:
    surround = np.zeros((round(SECONDS * RATE), 6), np.float32)
    surround[:, 2:3] = click()
    samples, notices, _ = hear(write_float(tmp_path / "x.wav", surround, RATE))
    assert np.abs(samples).max() == pytest.approx(0.4, abs=0.01)
    assert "only channel 3 carries sound" in notices[0]


def test_channels_that_begin_to_cancel_and_stop(tmp_path: Path) -> None:
    voice = tone(9.0, RATE)
    other = voice.copy()
    other[3 * RATE : 6 * RATE] *= -1
    samples, notices, _ = hear(write_float(tmp_path / "x.wav", np.concatenate([voice, other], axis=1), RATE))
    assert len(notices) == 1
    power = np.square(samples[:, 0]).reshape(9 * 5, -1).mean(axis=1)  # of 0.2 s each
    assert power.min() > 0.2 * power.max()


def test_a_split_that_tells_nobody_apart(tmp_path: Path) -> None:
    voice = tone(5.0, RATE)
    _, notices, _ = hear(write_float(tmp_path / "mono.wav", voice, RATE), "split")
    assert "has one channel only" in notices[0]
    for sign in (1, -1):
        _, notices, _ = hear(
            write_float(tmp_path / "x.wav", np.concatenate([voice, sign * voice], axis=1), RATE), "split"
        )
        assert len(notices) == 1
        assert "its channels hold the same sound" in notices[0]
    assert hear(write_float(tmp_path / "x.wav", tone(5.0, RATE, 2), RATE), "split")[1] == []
    assert hear(write_float(tmp_path / "x.wav", voice, RATE), "mix")[1] == []


# -- tracks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "codec"), [("x.mp4", "aac"), ("x.mkv", "libopus")])
def test_tracks(tmp_path: Path, name: str, codec: str) -> None:
    path = container(tmp_path / name, 0.001 * click(), click(), codec=codec, video="mpeg4")
    samples, notices, _ = hear(path)
    (line,) = notices
    assert "track 1 of 2 is heard; --track chooses: 1 (" in line
    assert "48000 Hz), 2 (" in line
    assert np.abs(samples).max() < 0.01
    assert File(path, "mix", realtime=False).elsewhere == "--track 2"

    samples, notices, error = hear(path, track=2)
    assert loud_from_s(samples) == pytest.approx(1.0, abs=0.05)
    assert (notices, error) == ([], "")
    with pytest.raises(SourceError, match=r"has no audio track 3; its audio tracks are 1 \(.*\), 2 \(.*\)"):
        File(path, "mix", realtime=False, track=3)


# -- files that change -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "sample_format"),
    [
        ("x.wav", "pcm_s16le", "s16"),
        ("x.mkv", "libopus", "flt"),
        ("x.ogg", "libopus", "flt"),
        ("x.mp3", "libmp3lame", "fltp"),
    ],
)
@pytest.mark.parametrize("change", ["shrinks", "grows"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, name: str, codec: str, sample_format: str, change: str
) -> None:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (60 * RATE, 1)).astype(np.float32)
    path = encode(tmp_path / name, noise, RATE, codec, sample_format)
    size = path.stat().st_size
    heard: list[float] = []

    async def run() -> None:
        async for chunk in File(path, "mix", realtime=False).items():
            if not heard:
                with path.open("r+b") as file:
                    file.truncate(size // 2) if change == "shrinks" else (file.seek(size), file.write(bytes(100_000)))
            heard.append(chunk.end / SAMPLE_RATE)

    with pytest.raises(SourceError) as caught:
        asyncio.run(run())
    assert "changed while it was read" in str(caught.value)
    assert f"it had {size} bytes" in str(caught.value)
    assert heard[-1] > 10
    assert heard[-1] < 61


def test_a_file_that_is_replaced_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "x.wav", tone(60.0, RATE), RATE, 2)
    ends: list[int] = []

    async def run() -> None:
        async for chunk in File(path, "mix", realtime=False).items():
            if not ends:
                write_wave(tmp_path / "new.wav", tone(1.0, RATE), RATE, 2).replace(path)
            ends.append(chunk.end)

    asyncio.run(run())
    assert ends[-1] == 60 * SAMPLE_RATE


def test_a_recording_that_is_still_written_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However quick the writer is, what is read is what was there at the beginning."""
    path = wav(tmp_path / "x.wav", plain_form(), S16 * 10, 0)
    sizes: list[int] = []
    decode: Callable[..., Samples] = decoder.AudioFile._to_float

    def growing(file: decoder.AudioFile, frame: av.AudioFrame) -> Samples:
        with path.open("ab") as more:
            more.write(S16)
        sizes.append(path.stat().st_size)
        return decode(file, frame)

    monkeypatch.setattr(decoder.AudioFile, "_to_float", growing)
    samples, _, error = hear(path)
    assert "changed while it was read" in error
    assert len(sizes) < 1000
    assert len(samples) >= 10 * len(TONE)
