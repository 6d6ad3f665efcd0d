"""Functions compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled, and kept on disk for the next process if a folder can be written."""
    import numba  # half a second, which only those who need it should wait

    try:
        result: Callable[..., Any] = numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # neither the package's folder nor the user's can hold the cache
        result = numba.njit(function, nogil=True)
    return result
