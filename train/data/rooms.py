"""A clip as another microphone in another room would have recorded it.

The words stay whole and nothing of the voice itself is changed: what differs between such recordings of one clip is the
channel. How loud a recording is says nothing here, because encoders that hear them even it out.

Notation: S samples at 16 kHz, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from emotrack.models.bounds import SAMPLE_RATE

HOP = SAMPLE_RATE // 100
ACTIVE_DB = 35.0  # below the loudest 10 ms: quieter ones at either end are silence
MARGIN_S = (0.1, 0.3)  # of it are left, as a tracker cuts turns
IN_A_ROOM, IN_NOISE, FILTERED = 0.85, 0.9, 0.5  # shares of the recordings
RT60_S = (0.2, 0.8)  # until an echo has fallen by 60 dB
DIRECT_DB = (-6.0, 15.0)  # the direct sound above the echoes
REFLECTIONS, FIRST_S = 5, (0.001, 0.03)  # early ones, and when they come
TILT_DB, PEAK_DB = 10.0, 10.0  # at most, of the microphone
PEAKS, PEAK_OCTAVES = 2, (0.3, 1.5)
LOW_PASS_HZ, HIGH_PASS_HZ = (3_400.0, 7_000.0), (50.0, 300.0)
NOISE_DB = (5.0, 35.0)  # the speech above it
NOISE_TILT_DB = (-9.0, 0.0)  # an octave
LOWEST_HZ = 50.0


def recorded_elsewhere(clip: Tensor) -> Tensor:
    """(S,) -> (S',), chosen at random; the silence around the words is mostly cut off."""
    clip = _words(clip)
    if _chance(IN_A_ROOM):
        clip = _convolved(clip, _room())
    if _chance(IN_NOISE):
        clip = clip + _noise(clip)
    return _filtered(clip, _microphone)


def _words(clip: Tensor) -> Tensor:
    frames = clip[: len(clip) // HOP * HOP].view(-1, HOP)  # (T, HOP)
    power = frames.square().mean(dim=1)  # (T,)
    active = (power >= power.max() * 10.0 ** (-ACTIVE_DB / 10.0)).nonzero()  # (A, 1)
    before, after = (int(_between(MARGIN_S) * SAMPLE_RATE) for _ in range(2))
    return clip[max(0, int(active[0]) * HOP - before) : (int(active[-1]) + 1) * HOP + after]


def _room() -> Tensor:
    """(S,) how a room answers to a click."""
    fall = math.log(1000.0) / (_between(RT60_S) * SAMPLE_RATE)  # nats of amplitude a sample
    samples = int(math.log(1000.0) / fall)
    echoes = torch.randn(samples) * torch.exp(-fall * torch.arange(samples))  # (S,)
    first = int(_between(FIRST_S) * SAMPLE_RATE)
    echoes[:first] = 0.0
    early = torch.randint(int(FIRST_S[0] * SAMPLE_RATE), int(FIRST_S[1] * SAMPLE_RATE), (REFLECTIONS,))
    echoes[early] += 4.0 * torch.randn(REFLECTIONS)
    echoes *= 10.0 ** (-_between(DIRECT_DB) / 20.0) / echoes.square().sum().sqrt()
    echoes[0] = 1.0
    return echoes


def _noise(clip: Tensor) -> Tensor:
    """(S,) noise of a room, as loud as it is beside this speech."""
    tilt = _between(NOISE_TILT_DB)
    noise = _filtered(torch.randn(len(clip)), lambda hertz: tilt * torch.log2(hertz / LOWEST_HZ))  # (S,)
    below: float = 10.0 ** (-_between(NOISE_DB) / 20.0)
    return noise * (clip.square().mean() / noise.square().mean()).sqrt() * below


def _microphone(hertz: Tensor) -> Tensor:
    """(F,) decibels at each of these frequencies."""
    octaves = torch.log2(hertz / 1_000.0)  # (F,)
    gain = _around(TILT_DB) * (octaves - 1.0).sigmoid() + _around(TILT_DB) * (-2.0 - octaves).sigmoid()  # (F,)
    for _ in range(PEAKS):
        gain = gain + _around(PEAK_DB) * torch.exp(-(((octaves - _between((-3.0, 2.5))) / _between(PEAK_OCTAVES)) ** 2))
    if _chance(FILTERED):
        gain = gain - 10.0 * torch.log10(1.0 + (hertz / _between(LOW_PASS_HZ)) ** _between((4.0, 16.0)))
    if _chance(FILTERED):
        gain = gain - 10.0 * torch.log10(1.0 + (_between(HIGH_PASS_HZ) / hertz) ** _between((2.0, 8.0)))
    return gain


def _filtered(clip: Tensor, response: Callable[[Tensor], Tensor]) -> Tensor:
    """(S,) -> (S,) with so many decibels more or less at each frequency."""
    size = _quick(len(clip))
    hertz = torch.fft.rfftfreq(size, 1.0 / SAMPLE_RATE).clamp(min=LOWEST_HZ)  # (F,)
    spectrum = torch.fft.rfft(clip, n=size) * 10.0 ** (response(hertz) / 20.0)  # (F,)
    heard: Tensor = torch.fft.irfft(spectrum, n=size)[: len(clip)]  # (S,)
    return heard


def _convolved(clip: Tensor, answer: Tensor) -> Tensor:
    size = _quick(len(clip) + len(answer))
    spectrum = torch.fft.rfft(clip, n=size) * torch.fft.rfft(answer, n=size)  # (F,)
    heard: Tensor = torch.fft.irfft(spectrum, n=size)[: len(clip)]  # (S,)
    return heard


def _quick(samples: int) -> int:
    """A length, not shorter, that the Fourier transform is quick for."""
    return 1 << (samples - 1).bit_length()


def _around(most: float) -> float:
    return _between((-most, most))


def _between(bounds: tuple[float, float]) -> float:
    return float(torch.empty(()).uniform_(*bounds))


def _chance(share: float) -> bool:
    return float(torch.rand(())) < share
