from __future__ import annotations

from watched_runs import train

__all__ = ["train"]
