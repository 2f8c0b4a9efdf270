"""Stretches of files, as recordings that hold many turns are read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.train.data.audio import read_audio
from emotrack.train.errors import TrainError

RATE = 16_000


def write(path: Path, samples: NDArray[np.float32], codec: str, rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        formats = stream.codec_context.codec.audio_formats or []
        resampler = av.AudioResampler(format=formats[0].name, layout="mono", rate=rate)
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = RATE
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(part)
        size = stream.codec_context.frame_size or 4096
        while (block := fifo.read(size) or fifo.read()) is not None:
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", RATE),
        ("a.wav", "pcm_s16le", 44_100),
        ("a.flac", "flac", RATE),
        ("a.ogg", "libopus", 48_000),
        ("a.mp3", "libmp3lame", RATE),
        ("a.m4a", "aac", RATE),
    ],
)
def test_a_stretch_is_what_the_whole_file_has_there(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).normal(0, 0.1, 6 * RATE)
    smooth = np.convolve(noise, np.ones(16) / 4, "same").astype(np.float32)  # what codecs keep
    write(path, smooth, codec, rate)
    whole = read_audio(path)
    for start, end in ((0.0, 1.5), (0.1, 2.1), (3.25, 4.5), (5.0, 5.75)):
        stretch = read_audio(path, start, end)
        assert len(stretch) == pytest.approx((end - start) * RATE, abs=1)
        expected = whole[round(start * RATE) :][: len(stretch)]
        assert np.corrcoef(stretch[: len(expected)], expected)[0, 1] > 0.99


def test_a_stretch_past_the_end_is_cut_or_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", np.zeros(2 * RATE, dtype=np.float32), "flac", RATE)
    assert len(read_audio(tmp_path / "a.flac", 1.5, 9.0)) == RATE // 2
    with pytest.raises(TrainError, match="no audio in it"):
        read_audio(tmp_path / "a.flac", 3.0, 4.0)


def test_tags_that_are_no_utf_8_are_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.zeros(RATE, dtype=np.float32), "pcm_s16le", RATE)
    tag = b"INAM" + struct.pack("<I", 6) + "Café\0\0".encode("latin-1")
    listed = b"LIST" + struct.pack("<I", 4 + len(tag)) + b"INFO" + tag
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes() + listed)
    assert len(read_audio(tmp_path / "b.wav")) == RATE
