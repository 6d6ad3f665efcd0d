"""Long audio in overlapping windows, for an encoder of limited length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from slue_ner.core.time import FrameGrid

_OVERLAP = 5  # a fifth: 6 of Whisper's 30 s, so that every frame has at least 3 s of context


@dataclass(frozen=True, slots=True)
class Window:
    """Frames ``[start, stop)`` of an utterance, encoded at once.

    Attributes:
        owned: which of the window's own frames are kept.
    """

    start: int
    stop: int
    owned: slice


def windows(num_frames: int, *, size: int) -> list[Window]:
    """Cover ``num_frames`` with windows of ``size``; one, of any length, when they fit.

    Every window but a lone one is full. Neighbours overlap by at least a fifth, and a frame is
    kept from the window where it is farther from the edge.
    """
    if num_frames <= size:
        return [Window(0, num_frames, slice(0, num_frames))]
    step = max(1, size - size // _OVERLAP)
    starts = [*range(0, num_frames - size, step), num_frames - size]
    found: list[Window] = []
    kept = 0  # frames owned by the windows so far
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        stop = start + size
        border = num_frames if following is None else (stop + following) // 2
        found.append(Window(start, stop, slice(kept - start, border - start)))
        kept = border
    return found


def encode_in_windows(
    encode: Callable[[Tensor, Tensor, Tensor | None], list[Tensor]],
    waveforms: Tensor,
    num_samples: Tensor,
    *,
    masked: Tensor | None,
    grid: FrameGrid,
    size: int,
) -> list[Tensor]:
    """States of audio of any length, each frame from the window where it has most context.

    Args:
        encode: from a waveform ``(1, S)``, its length ``(1,)`` and its hidden frames ``(1, T)`` to
            its states, ``(1, T, D)`` for every layer.
        waveforms: ``(B, S)``, zero-padded.
        num_samples: real samples, ``(B,)``.
        masked: hidden frames, ``(B, T)`` bool, or ``None``.
        grid: of the encoder.
        size: most frames that it encodes at once.

    Returns:
        ``(B, T, D)`` for every layer, zero behind an utterance's end.
    """
    total = grid.num_frames(waveforms.shape[1])
    rows: list[list[Tensor]] = []  # of every utterance, (1, T, D) for every layer
    for row, length in enumerate(num_samples.tolist()):
        count = grid.num_frames(length)
        parts: list[list[Tensor]] = []
        for window in windows(count, size=size):
            last = length if window.stop == count else window.stop * grid.hop
            piece = waveforms[row : row + 1, window.start * grid.hop : last]
            hidden = None if masked is None else masked[row, window.start : window.stop][None]
            states = encode(piece, num_samples.new_tensor([piece.shape[1]]), hidden)
            parts.append([state[:, window.owned] for state in states])
        joined = [torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True)]
        rows.append([functional.pad(state, (0, 0, 0, total - count)) for state in joined])
    return [torch.cat(of_layer) for of_layer in zip(*rows, strict=True)]
