"""Long audio in overlapping windows, for an encoder of limited length."""

from __future__ import annotations

from dataclasses import dataclass

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
