"""Whisper's log-mel spectrogram in torch, each utterance at its own length.

Source: Whisper, arXiv:2212.04356, section 2.2, as computed by transformers'
WhisperFeatureExtractor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from slue_ner.core.time import FrameGrid
from slue_ner.models.encoder.frames import valid_positions
from slue_ner.models.encoder.mel_bank import MelBank

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
SAMPLE_RATE = 16_000
STRIDE = 2  # mel frames an encoder frame: the second convolution's stride
FLOOR = 1e-10
RANGE = 8.0  # decades that are kept below the loudest value of an utterance
LINEAR_BELOW = 1000.0  # hertz; Slaney's mel scale is logarithmic above
MEL_AT_BORDER = 15.0
MELS_PER_NEPER = 27.0 / torch.log(torch.tensor(6.4, dtype=torch.float64)).item()


class WhisperMel(MelBank):
    """Log-mel frames of 10 ms, two of them side by side for each encoder frame of 20 ms.

    Windows are centred, so the first and the last reach beyond the audio, which is mirrored there:
    at each utterance's own end, not the batch's. A last 10 ms that fill no encoder frame are heard
    through their neighbours' windows only.
    """

    grid = FrameGrid(hop=HOP * STRIDE, window=HOP * STRIDE, sample_rate=SAMPLE_RATE)

    def __init__(self, *, num_mel_bins: int = 80) -> None:
        super().__init__(
            window=torch.hann_window(WINDOW, dtype=torch.float64),
            mel=_mel_filters(num_mel_bins),
            fft_size=WINDOW,
        )
        self.num_mel_bins = num_mel_bins

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """Features of a padded batch.

        Args:
            waveforms: ``(B, S)`` float32 in [-1, 1], zero-padded.
            num_samples: ``(B,)`` long, each at least one window of ``grid``.

        Returns:
            ``(B, T, num_mel_bins * 2)`` float32, zero beyond an utterance's end.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            num_frames = waveforms.shape[1] // self.grid.hop
            log_mel = self._log_mel(_mirrored(waveforms.float(), num_samples))  # (B, N, M)
            valid = valid_positions(num_samples // HOP, log_mel.shape[1])[..., None]
            loudest = log_mel.masked_fill(~valid, -torch.inf).amax((1, 2), keepdim=True)
            log_mel = log_mel[:, : num_frames * STRIDE]  # after an odd last one has had its say
            scaled = (torch.maximum(log_mel, loudest - RANGE) + 4.0) / 4.0
            whole = valid_positions(num_samples // self.grid.hop * STRIDE, log_mel.shape[1])
            features: Tensor = scaled.masked_fill(~whole[..., None], 0.0)
        return features.reshape(len(waveforms), num_frames, -1)  # (B, T, 2 * M)

    def _log_mel(self, waveforms: Tensor) -> Tensor:
        samples = self.exactly(waveforms)
        frames = samples.unfold(-1, WINDOW, HOP) * self.window(samples)  # (B, N, WINDOW)
        log_mel: Tensor = self.power(frames).clamp_(min=FLOOR).log10_()
        return log_mel.float()  # (B, N, M)


def _mirrored(waveforms: Tensor, num_samples: Tensor) -> Tensor:
    """Half a window of mirrored samples before each utterance and behind it, ``(B, S + 400)``."""
    half = WINDOW // 2
    behind = torch.arange(half, device=waveforms.device)
    source = num_samples[:, None] - 2 - behind  # the last sample itself is not repeated
    wide = functional.pad(waveforms, (half, half))
    wide[:, :half] = waveforms[:, 1 : half + 1].flip(-1)
    return wide.scatter(1, num_samples[:, None] + half + behind, waveforms.gather(1, source))


def _mel_filters(num_mel_bins: int) -> Tensor:
    """Slaney's triangles of equal area on his mel scale, ``(201, num_mel_bins)``."""
    hertz = torch.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    highest = MEL_AT_BORDER + MELS_PER_NEPER * float(
        torch.log(torch.tensor(SAMPLE_RATE / 2 / LINEAR_BELOW, dtype=torch.float64))
    )
    corners = _hertz(torch.linspace(0.0, highest, num_mel_bins + 2, dtype=torch.float64))
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (hertz - left) / (center - left)
    falling = (right - hertz) / (right - center)
    return torch.minimum(rising, falling).clamp_(min=0.0) * (2.0 / (right - left))


def _hertz(mels: Tensor) -> Tensor:
    linear = mels * (LINEAR_BELOW / MEL_AT_BORDER)
    above = LINEAR_BELOW * torch.exp((mels - MEL_AT_BORDER) / MELS_PER_NEPER)
    return torch.where(mels < MEL_AT_BORDER, linear, above)
