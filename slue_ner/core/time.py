"""Time: seconds, spans of seconds, and the grid on which an encoder's frames sit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Seconds = float


def said_length(seconds: Seconds) -> str:
    """How much audio there is, in the unit that suits it: ``12 s``, ``34 min``, ``5.60 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.2f} h"


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A half-open stretch of time ``[start, end)`` in seconds.

    Raises:
        ValueError: unless ``0 <= start <= end`` and both are finite.
    """

    start: Seconds
    end: Seconds

    def __post_init__(self) -> None:
        if not (0 <= self.start <= self.end and math.isfinite(self.end)):
            raise ValueError(
                f"TimeSpan needs 0 <= start <= end, got start={self.start:.3f}s end={self.end:.3f}s"
            )

    @property
    def duration(self) -> Seconds:
        """Length of the span; 0 for a span that marks an instant."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """The one place where encoder frames and seconds meet.

    Frame ``i`` owns samples ``[i * hop, (i + 1) * hop)``, the convention of the SLUE NEL
    baseline, so frames ``[a, b)`` last exactly ``(b - a) * hop / sample_rate`` seconds.

    Attributes:
        hop: samples between two frames.
        window: samples the first frame needs; fewer give no frame at all.
        sample_rate: samples per second of the audio the encoder reads.
    """

    hop: int = 320
    window: int = 400
    sample_rate: int = 16_000

    def __post_init__(self) -> None:
        if min(self.hop, self.window, self.sample_rate) <= 0:
            raise ValueError(f"FrameGrid needs positive numbers, got {self}")

    @classmethod
    def from_convolutions(
        cls, kernels: Sequence[int], strides: Sequence[int], *, sample_rate: int = 16_000
    ) -> FrameGrid:
        """The grid of a stack of unpadded convolutions over the waveform, first layer first."""
        hop, window = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            window += (kernel - 1) * hop
            hop *= stride
        return cls(hop=hop, window=window, sample_rate=sample_rate)

    @property
    def frame_seconds(self) -> Seconds:
        """Duration of one frame."""
        return self.hop / self.sample_rate

    def num_frames(self, num_samples: int) -> int:
        """Frames the encoder emits for ``num_samples``; 0 when shorter than one window."""
        return max(0, 1 + (num_samples - self.window) // self.hop)

    def num_samples(self, num_frames: int) -> int:
        """Fewest samples for which the encoder emits ``num_frames``."""
        return 0 if num_frames <= 0 else self.window + (num_frames - 1) * self.hop

    def span(self, first: int, last: int) -> TimeSpan:
        """Seconds owned by frames ``[first, last)``."""
        return TimeSpan(first * self.hop / self.sample_rate, last * self.hop / self.sample_rate)

    def frames(self, span: TimeSpan) -> tuple[int, int]:
        """Frames ``[first, last)`` that own any part of ``span`` (rounded outwards).

        A nanosecond of slack keeps ``frames(grid.span(a, b)) == (a, b)`` despite rounding.
        """
        scale = self.sample_rate / self.hop
        slack = 1e-9 * scale
        return math.floor(span.start * scale + slack), math.ceil(span.end * scale - slack)
