"""The sound of speech, frame by frame, which CARE's acoustic encoder learns to predict.

Low-level descriptors of the kind of eGeMAPS (Eyben et al. 2016, IEEE Transactions on Affective Computing 7 (2)): level,
voicing, pitch, harmonicity and spectral shape. Without formants, whose tracking needs more care than a target deserves,
and with steps from frame to frame in the place of jitter and shimmer, which need single glottal periods. Pitch and
harmonicity come from the autocorrelation of a window divided by the window's own (Boersma 1993, Proceedings of the
Institute of Phonetic Sciences 17).

The published CARE predicts the 256 features of PASE+ here, a network of its own. It has no maintained package and no
weights in safetensors, so it is left out: with it, these 27 numbers a frame would be 256, and nothing else changed.

Notation: B utterances, S samples, F bins of the spectrum, T frames at 50 a second, K descriptors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.models.features import FFT, MELS, WINDOW, mel_filters

FRAME = 320  # samples from one frame to the next: 20 ms
CEPSTRA = 12
NAMES = (
    "level",  # dB
    "voicing",  # height of the autocorrelation's peak, in [0, 1]
    "pitch",  # octaves above LOWEST_PITCH; where there is no voice, the utterance's mean
    "harmonicity",  # dB
    "pitch_step",  # octaves, between neighbouring frames with voice, as jitter is between periods
    "level_step",  # dB, the same, as shimmer is
    "zero_crossings",  # a sample
    "centroid",  # kHz
    "spread",  # kHz
    "rolloff",  # kHz below which 85 % of the power lies
    "flux",  # distance of neighbouring spectra of unit length
    "slope_0_500",  # dB a kHz
    "slope_500_1500",
    "alpha_ratio",  # dB: 50-1,000 Hz over 1-5 kHz
    "hammarberg",  # dB: the highest peak below 2 kHz over the highest of 2-5 kHz
    *(f"cepstrum_{order}" for order in range(1, CEPSTRA + 1)),
)
LOWEST_PITCH, HIGHEST_PITCH = 75.0, 600.0  # Hz
PITCH_WINDOW = 640  # samples: 40 ms, three periods of the lowest pitch
PITCH_FFT = 1_024
OCTAVE_COST = 0.03  # of an octave down, so that half of the true pitch, which fits as well, is not taken for it
VOICED = 0.45  # least height of the peak, as Boersma's default
SILENT = 1e-4  # 40 dB below the loudest frame is no voice
FLOOR = 1e-7  # 70 dB below the loudest point of the spectrum is silence


class Descriptors(nn.Module):
    """Waveforms -> descriptors, 50 frames a second."""

    window: Tensor
    pitch_window: Tensor
    own: Tensor
    lags: Tensor
    hertz: Tensor
    mel: Tensor
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        pitch_window = torch.hann_window(PITCH_WINDOW, periodic=False)  # (PITCH_WINDOW,)
        first, last = math.floor(SAMPLE_RATE / HIGHEST_PITCH) - 1, math.ceil(SAMPLE_RATE / LOWEST_PITCH) + 1
        lags = torch.arange(first, last + 1)  # (lags,), with a neighbour on each side
        order = torch.arange(1, CEPSTRA + 1).unsqueeze(1)  # (CEPSTRA, 1)
        constants = {
            "window": torch.hann_window(WINDOW),
            "pitch_window": pitch_window,
            "own": _autocorrelation(pitch_window)[lags],  # (lags,)
            "lags": lags,
            "hertz": torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1),  # (F,)
            "mel": mel_filters(),  # (MELS, F)
            "cosines": torch.cos(math.pi / MELS * order * (torch.arange(MELS) + 0.5)),  # (CEPSTRA, MELS)
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, S) in [-1, 1], padded with zeros -> (B, T, K), T = S // FRAME + 1.

        An utterance's own frames, the first S' // FRAME + 1, are the same alone and in a batch.
        """
        with torch.autocast(waveforms.device.type, enabled=False):  # of small numbers, logarithms are taken
            power = self._power(waveforms.float())  # (B, T, F)
            level = 10.0 * power.sum(dim=-1).log10()  # (B, T)
            voicing, pitch = self._voice(waveforms.float())  # (B, T) each
            voiced = voicing >= VOICED  # (B, T)
            height = voicing.clamp(1e-3, 1.0 - 1e-3)  # (B, T)
            found = [
                level,
                voicing,
                pitch,
                10.0 * (height / (1.0 - height)).log10(),
                _steps(pitch, voiced),
                _steps(level, voiced),
                _zero_crossings(waveforms),
                *self._shape(power),
            ]
            mel = (power @ self.mel.T).log()  # (B, T, MELS)
            return torch.cat([torch.stack(found, dim=-1), mel @ self.cosines.T], dim=-1)  # (B, T, K)

    def _power(self, waveforms: Tensor) -> Tensor:
        """(B, S) -> (B, T, F) power, none of it below the floor."""
        spectrum = torch.stft(
            waveforms, FFT, FRAME, WINDOW, self.window, center=True, pad_mode="constant", return_complex=True
        )  # (B, F, T)
        power = spectrum.abs().square().mT  # (B, T, F)
        return power + FLOOR * power.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)

    def _voice(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S) -> (B, T) voicing and (B, T) pitch."""
        half = PITCH_WINDOW // 2
        frames = nn.functional.pad(waveforms, (half, half)).unfold(1, PITCH_WINDOW, FRAME)  # (B, T, PITCH_WINDOW)
        frames = (frames - frames.mean(dim=-1, keepdim=True)) * self.pitch_window  # (B, T, PITCH_WINDOW)
        energy = frames.square().sum(dim=-1)  # (B, T)
        loud = energy > SILENT * energy.amax(dim=1, keepdim=True)  # (B, T)
        heights = _autocorrelation(frames)[..., self.lags] / self.own  # (B, T, lags)
        before, here, after = heights[..., :-2], heights[..., 1:-1], heights[..., 2:]  # (B, T, lags - 2) each
        cost = OCTAVE_COST * (LOWEST_PITCH / SAMPLE_RATE * self.lags[1:-1]).log2()  # (lags - 2,)
        peaks = torch.where((here >= before) & (here > after), here - cost, -torch.inf)  # (B, T, lags - 2)
        best = peaks.argmax(dim=-1, keepdim=True)  # (B, T, 1)
        low, top, high = (values.gather(-1, best).squeeze(-1) for values in (before, here, after))  # (B, T) each
        # The top of the parabola through three points lies between the samples.
        bend = (low - 2.0 * top + high).clamp(max=-1e-6)  # (B, T)
        offset = (0.5 * (low - high) / bend).clamp(-0.5, 0.5)  # (B, T)
        peaked = loud & peaks.isfinite().any(dim=-1)  # (B, T)
        voicing = (top - 0.25 * (low - high) * offset).clamp(0.0, 1.0) * peaked  # (B, T)
        octaves = (SAMPLE_RATE / LOWEST_PITCH / (self.lags[1:-1][best.squeeze(-1)] + offset)).log2()  # (B, T)
        voiced = voicing >= VOICED  # (B, T)
        mean = (octaves * voiced).sum(dim=1, keepdim=True) / voiced.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
        return voicing, torch.where(voiced, octaves, mean)

    def _shape(self, power: Tensor) -> list[Tensor]:
        """(B, T, F) -> the descriptors of a spectrum, (B, T) each, in the order of their names."""
        kilohertz = self.hertz / 1000.0  # (F,)
        share = power / power.sum(dim=-1, keepdim=True)  # (B, T, F)
        centroid = share @ kilohertz  # (B, T)
        spread = (share @ kilohertz.square() - centroid.square()).clamp(min=0.0).sqrt()  # (B, T)
        rolloff = kilohertz[(share.cumsum(dim=-1) < 0.85).sum(dim=-1).clamp(max=len(kilohertz) - 1)]  # (B, T)
        unit = share.sqrt()  # (B, T, F)
        flux = nn.functional.pad((unit[:, 1:] - unit[:, :-1]).norm(dim=-1), (1, 0))  # (B, T)
        decibels = 10.0 * power.log10()  # (B, T, F)
        alpha = 10.0 * (self._band(power, 50, 1000).sum(dim=-1) / self._band(power, 1000, 5000).sum(dim=-1)).log10()
        hammarberg = self._band(decibels, 0, 2000).amax(dim=-1) - self._band(decibels, 2000, 5000).amax(dim=-1)
        slopes = [self._slope(decibels, *band) for band in ((0, 500), (500, 1500))]
        return [centroid, spread, rolloff, flux, *slopes, alpha, hammarberg]

    def _slope(self, decibels: Tensor, low: float, high: float) -> Tensor:
        """(B, T, F) -> (B, T) dB a kHz of the straight line through a band."""
        kilohertz = self._band(self.hertz, low, high) / 1000.0  # (F',)
        centred = kilohertz - kilohertz.mean()  # (F',)
        return self._band(decibels, low, high) @ (centred / centred.square().sum())  # (B, T)

    def _band(self, spectrum: Tensor, low: float, high: float) -> Tensor:
        """(..., F) -> (..., F') the bins from ``low`` up to ``high`` Hz."""
        width = SAMPLE_RATE / FFT  # Hz a bin
        return spectrum[..., math.ceil(low / width) : math.ceil(high / width)]


def at_rate(descriptors: Tensor, frames: int) -> Tensor:
    """One utterance's descriptors at an encoder's rate, each with mean 0 and variance 1 over the utterance.

    Args:
        descriptors: (T, K).
        frames: how many frames the encoder makes of the utterance.

    Returns:
        (frames, K); what does not change in the utterance is 0.
    """
    pooled = nn.functional.adaptive_avg_pool1d(descriptors.T, frames).T  # (frames, K)
    centred = pooled - pooled.mean(dim=0)  # (frames, K)
    standardised: Tensor = centred / centred.square().mean(dim=0).sqrt().clamp(min=1e-3)  # (frames, K)
    return standardised


def _autocorrelation(frames: Tensor) -> Tensor:
    """(..., S) -> (..., PITCH_FFT), 1 at lag 0."""
    power = torch.fft.rfft(frames, PITCH_FFT).abs().square()  # (..., PITCH_FFT / 2 + 1)
    found: Tensor = torch.fft.irfft(power, PITCH_FFT)  # (..., PITCH_FFT)
    return found / found[..., :1].clamp(min=1e-10)


def _steps(values: Tensor, voiced: Tensor) -> Tensor:
    """(B, T), (B, T) -> (B, T) how far from the frame before, where both have voice."""
    steps = (values[:, 1:] - values[:, :-1]).abs() * (voiced[:, 1:] & voiced[:, :-1])  # (B, T - 1)
    return nn.functional.pad(steps, (1, 0))


def _zero_crossings(waveforms: Tensor) -> Tensor:
    """(B, S) -> (B, T) how often the sign changes, a sample."""
    changes = (waveforms[:, 1:] * waveforms[:, :-1] < 0).float()  # (B, S - 1), none at the edge of the padding
    half = WINDOW // 2
    padded = nn.functional.pad(changes, (half, half + 1))  # (B, S + WINDOW)
    return nn.functional.avg_pool1d(padded.unsqueeze(1), WINDOW, FRAME).squeeze(1)  # (B, T)
