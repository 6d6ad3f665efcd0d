"""Log-mel filter bank in torch, equal to what w2v-BERT 2.0 was trained on.

Source: Kaldi's ``compute-fbank-feats`` as configured by transformers' SeamlessM4TFeatureExtractor.
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
FFT_SIZE = 512
SAMPLE_RATE = 16_000
LOWEST_HERTZ = 20.0
PREEMPHASIS = 0.97
FLOOR = 1.192092955078125e-07  # float32 epsilon, as Kaldi
FULL_SCALE = 2.0**15  # Kaldi reads 16-bit integers


class FilterBank(MelBank):
    """Log-mel frames, normalised per mel bin over each utterance and stacked ``stride`` at a time.

    Statistics use real frames only and the unbiased variance (``ddof=1``), so an utterance has
    the same features whatever it is batched with. A trailing frame that does not fill a stack
    counts for the statistics, as in the stock extractor, and is then dropped.
    """

    def __init__(self, *, num_mel_bins: int = 80, stride: int = 2) -> None:
        if num_mel_bins < 1 or stride < 1:
            raise ValueError(
                f"FilterBank needs num_mel_bins >= 1 and stride >= 1, got {num_mel_bins} and "
                f"{stride}"
            )
        super().__init__(
            window=torch.hann_window(WINDOW, periodic=False, dtype=torch.float64).pow(0.85),
            mel=_mel_filters(num_mel_bins),
            fft_size=FFT_SIZE,
        )
        self.num_mel_bins = num_mel_bins
        self.stride = stride

    @property
    def grid(self) -> FrameGrid:
        """The grid of stacked frames; a stack needs all of its ``stride`` mel frames."""
        return FrameGrid(
            hop=HOP * self.stride,
            window=WINDOW + HOP * (self.stride - 1),
            sample_rate=SAMPLE_RATE,
        )

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """Features of a padded batch.

        Args:
            waveforms: ``(B, S)`` float32 in [-1, 1], zero-padded.
            num_samples: ``(B,)`` long, each at least one window of ``grid``.

        Returns:
            ``(B, T, num_mel_bins * stride)`` float32, zero beyond an utterance's end.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            # the float64 frames of one row stay in a CPU's cache: half the time
            rows = torch.split(waveforms, 1) if waveforms.device.type == "cpu" else [waveforms]
            log_mel = torch.cat([self._log_mel(row.float()) for row in rows])  # (B, N, M)
            num_mel_frames = 1 + (num_samples - WINDOW) // HOP
            features = _normalize(log_mel, num_mel_frames)
        num_stacks = features.shape[1] // self.stride
        features = features[:, : num_stacks * self.stride]
        return features.reshape(len(waveforms), num_stacks, -1)  # (B, T, M * stride)

    def _log_mel(self, waveforms: Tensor) -> Tensor:
        samples = self.exactly(waveforms) * FULL_SCALE  # (B, S)
        first = samples.unfold(-1, WINDOW, HOP)[..., 0]  # (B, N)
        offset = samples.unfold(-1, WINDOW, HOP).mean(-1)  # (B, N)
        # Kaldi removes each frame's offset and then emphasises within the frame, where a frame's
        # first sample is its own predecessor; elsewhere both steps commute with framing
        emphasised = samples - PREEMPHASIS * functional.pad(samples[:, :-1], (1, 0))
        frames = emphasised.unfold(-1, WINDOW, HOP) - (1 - PREEMPHASIS) * offset[..., None]
        frames[..., 0] = (1 - PREEMPHASIS) * (first - offset)
        windowed = frames.mul_(self.window(frames))
        log_mel: Tensor = self.power(windowed).clamp_(min=FLOOR).log_()
        return log_mel.float()  # (B, N, M)


def _normalize(log_mel: Tensor, num_frames: Tensor) -> Tensor:
    valid = valid_positions(num_frames, log_mel.shape[1])[..., None]  # (B, N, 1)
    count = num_frames[:, None, None]
    mean = log_mel.masked_fill(~valid, 0.0).sum(1, keepdim=True) / count
    centered = (log_mel - mean).masked_fill_(~valid, 0.0)
    variance = centered.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
    return centered / (variance + 1e-7).sqrt()


def _mel_filters(num_mel_bins: int) -> Tensor:
    """Triangles that are straight on Kaldi's mel scale, ``(257, num_mel_bins)``."""
    num_bins = FFT_SIZE // 2 + 1
    bins = _mel(torch.arange(num_bins, dtype=torch.float64) * (SAMPLE_RATE / FFT_SIZE))
    lowest, highest = _mel(torch.tensor([LOWEST_HERTZ, SAMPLE_RATE / 2], dtype=torch.float64))
    corners = torch.linspace(float(lowest), float(highest), num_mel_bins + 2, dtype=torch.float64)
    left, center, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins[:, None] - left) / (center - left)
    falling = (right - bins[:, None]) / (right - center)
    return torch.minimum(rising, falling).clamp_(min=0.0)


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(hertz / 700.0)
