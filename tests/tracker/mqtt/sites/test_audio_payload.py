"""Audio messages: every layout that is promised, and nothing that lies or asks for too much."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrack.tracker.mqtt.sites.audio_payload import MAX_AUDIO_BYTES, AudioPayloadError, decode_audio
from tests.tracker.mqtt.memory import resident_mib
from tests.tracker.mqtt.microphones import wav

TONE = np.sin(np.arange(512) * 0.1).astype(np.float32)
PAYLOADS = 100_000


def header(
    data_bytes: int, encoding: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, block: int | None = None
) -> bytes:
    block = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", encoding, channels, rate, rate * block % 2**32, block % 2**16, bits)
    return b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", data_bytes)


def test_a_small_wav_as_satellites_send_it() -> None:
    samples, rate = decode_audio(wav(TONE), None)
    assert rate == 16_000
    assert samples.shape == (512, 1)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[:, 0], TONE, atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_any_rate_and_channels_are_mixed(rate: int) -> None:
    samples, found = decode_audio(wav(np.stack([TONE, np.zeros_like(TONE)], axis=1), rate), "audio/wav")
    assert found == rate
    np.testing.assert_allclose(samples[:, 0], TONE / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("S16LE", (TONE * 32767).astype("<i2").tobytes()),
        ("S24LE", b"".join(int(x * 8388607).to_bytes(3, "little", signed=True) for x in TONE)),
        ("S32LE", (TONE.astype(np.float64) * 2147483647).astype("<i4").tobytes()),
        ("F32LE", TONE.astype("<f4").tobytes()),
    ],
)
def test_raw_samples(form: str, data: bytes) -> None:
    samples, rate = decode_audio(data, f"audio/x-raw; format={form}; rate=48000; channels=1")
    assert rate == 48_000
    np.testing.assert_allclose(samples[:, 0], TONE, atol=1e-4)


def test_8_bit_and_float_wavs_and_extensible_ones() -> None:
    eight = header(512, bits=8) + (TONE * 127 + 128).astype(np.uint8).tobytes()
    np.testing.assert_allclose(decode_audio(eight, None)[0][:, 0], TONE, atol=0.02)
    floats = header(2048, encoding=3, bits=32) + TONE.astype("<f4").tobytes()
    np.testing.assert_allclose(decode_audio(floats, None)[0][:, 0], TONE, atol=1e-6)
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 16_000, 32_000, 2, 16, 22, 16, 4, 1) + bytes(14)
    extensible = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x28\0\0\0" + form + b"data" + struct.pack("<I", 1024)
    extensible += (TONE * 32767).astype("<i2").tobytes()
    np.testing.assert_allclose(decode_audio(extensible, None)[0][:, 0], TONE, atol=1e-4)


def test_a_header_written_before_the_length_was_known() -> None:
    pcm = (TONE * 32767).astype("<i2").tobytes()
    for unknown in (0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF - 36):
        assert len(decode_audio(header(unknown) + pcm, None)[0]) == 512


def test_a_wrong_length_is_taken_as_in_a_file() -> None:
    pcm = (TONE * 32767).astype("<i2").tobytes()
    for wrong in (2, 999, 1000, 1025, 2048, 100_000):  # too small, odd, too large
        np.testing.assert_allclose(decode_audio(header(wrong) + pcm, None)[0][:, 0], TONE, atol=1e-4)
    samples, _ = decode_audio(header(1024) + pcm + b"LIST\x04\0\0\0abcd", None)  # what follows is no audio
    assert len(samples) == 512
    assert len(decode_audio(header(999) + pcm[:999], None)[0]) == 499  # half a sample is none


def test_24_bits_in_32() -> None:
    data = (TONE.astype(np.float64) * 8388607).astype("<i4") * 256
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 16_000, 64_000, 4, 32, 22, 24, 4, 1) + bytes(14)
    payload = b"RIFF\0\0\0\0WAVEfmt \x28\0\0\0" + form + b"data" + struct.pack("<I", 2048) + data.tobytes()
    np.testing.assert_allclose(decode_audio(payload, None)[0][:, 0], TONE, atol=1e-4)


def test_numbers_that_are_none_are_silence() -> None:
    samples, _ = decode_audio(np.array([np.nan, np.inf, 0.5], "<f4").tobytes(), "audio/x-raw;format=F32LE;rate=16000")
    assert samples[:, 0].tolist() == [0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("payload", "content_type", "says"),
    [
        (b"", None, "neither a WAV"),
        (b"hello", None, "neither a WAV"),
        (header(1024), None, "promises 1024 bytes and holds 0"),
        (header(1000, rate=1) + bytes(1000), None, "rate of 1 Hz"),
        (header(1000, rate=4_000_000_000) + bytes(1000), None, "rate"),
        (header(1000, channels=0) + bytes(1000), None, "0 channels"),
        (header(1000, channels=65_535) + bytes(1000), None, "channels"),
        (header(1000, encoding=85) + bytes(1000), None, "encoding 85"),
        (header(1000, block=7) + bytes(1000), None, "blocks of 7"),
        (header(1024) + b"a", None, "promises 1024 bytes and holds 1"),
        (b"RIFF\0\0\0\0WAVE", None, "without samples"),
        (b"RIFF\0\0\0\0WAVEdata\x02\0\0\0ab", None, "before their format"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", None, "breaks off"),
        (bytes(MAX_AUDIO_BYTES + 1), None, "at most"),
        (header(200_000, rate=4_000) + bytes(200_000), None, "25 s in one message"),
        (b"ab", "audio/ogg", "content type"),
        (b"ab", "audio/x-raw", "format"),
        (b"ab", "audio/x-raw;format=MP3", "format"),
        (b"ab", "audio/x-raw;format=S16LE", "rate="),
        (b"ab", "audio/x-raw;format=S16LE;rate=many", "rate="),
        (b"abc", "audio/x-raw;format=S16LE;rate=16000", "no whole number"),
    ],
)
def test_what_cannot_be_used(payload: bytes, content_type: str | None, says: str) -> None:
    with pytest.raises(AudioPayloadError, match=says) as caught:
        decode_audio(payload, content_type)
    assert len(str(caught.value)) < 200


VALID = wav(TONE)
damaged = st.builds(
    lambda edits, cut: bytes(bytearray_with(VALID, edits))[:cut],
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=8),
    st.integers(0, len(VALID)),
)
lying = st.builds(
    lambda fields, data: b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHHxxxxI", *fields) + data,
    st.tuples(*[st.sampled_from([0, 1, 2, 3, 8, 16, 24, 32, 85, 8_000, 16_000, 65_534, 65_535])] * 6, st.just(64)),
    st.binary(max_size=128),
)
content_types = st.one_of(
    st.none(),
    st.sampled_from(
        ["audio/wav", "audio/x-raw;format=S16LE;rate=16000;channels=2", "audio/x-raw;format=F32LE;rate=8000"]
    ),
    st.text(max_size=60),
    st.builds("audio/x-raw;{}".format, st.text("formatS16LE=;0123456789-channelsrate ", max_size=60)),
)


def bytearray_with(data: bytes, edits: list[tuple[int, int]]) -> bytearray:
    changed = bytearray(data)
    for at, value in edits:
        changed[at] = value
    return changed


def check(payload: bytes, content_type: str | None) -> bool:
    """Whether it was taken for audio; whatever it is, one of the two clear outcomes."""
    try:
        samples, rate = decode_audio(payload, content_type)
    except AudioPayloadError:
        return False
    assert samples.ndim == 2
    assert samples.shape[1] == 1
    assert np.isfinite(samples).all()
    assert len(samples) / rate <= 10
    return True


@settings(max_examples=1000, database=None)
@given(st.one_of(st.binary(max_size=256), damaged, lying), content_types)
def test_whatever_comes_is_audio_or_refused(payload: bytes, content_type: str | None) -> None:
    check(payload, content_type)


@pytest.mark.long
def test_a_hundred_thousand_damaged_payloads_leave_nothing_behind() -> None:
    random = np.random.default_rng(0)
    formats = [None, None, "audio/wav", "audio/x-raw;format=S16LE;rate=16000;channels=2", "audio/x-raw;rate=0", "x"]
    taken = 0
    for number in range(PAYLOADS):
        payload = bytearray(VALID if number % 3 else header(0, bits=24, channels=2) + VALID[:600])
        places = random.integers(0, 60 if number % 2 else len(payload), size=random.integers(0, 6))
        for place, value in zip(places, random.integers(0, 256, size=len(places)), strict=True):
            payload[place] = value
        cut = len(payload) if number % 4 else int(random.integers(0, len(payload)))
        taken += check(bytes(payload[:cut]), formats[number % len(formats)])
        if number == PAYLOADS // 4:
            early = resident_mib()
    assert 0.1 * PAYLOADS < taken < 0.9 * PAYLOADS  # both outcomes were really met
    assert resident_mib() - early < 4  # 55 bytes kept of each would be as much
