"""A console whose sentences are kept in a file, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console


class KeptConsole(Console):
    """Appends every sentence it prints to ``kept_in``; bars and tables are for the eye alone."""

    kept_in: Path | None = None

    def print(self, *objects: Any, **options: Any) -> None:
        """As ``Console.print``."""
        super().print(*objects, **options)
        if self.kept_in is not None and not self.quiet and all(isinstance(o, str) for o in objects):
            try:
                with self.kept_in.open("a", encoding="utf-8") as file:
                    file.write(" ".join(objects) + "\n")
            except OSError as error:  # no reason to stop what is reported
                path, self.kept_in = self.kept_in, None
                super().print(f"note: {path} cannot be written: {error.strerror}")
