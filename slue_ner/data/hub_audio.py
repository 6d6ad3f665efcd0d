"""Audio bytes from a hub data set, written to files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

_LONGEST_NAME = 150


class AudioFolder:
    """Writes ``<folder>/<split>/<id>.<extension>`` and keeps the names apart.

    Ids of SLUE hold ``:``, which some file systems refuse; everything but letters, digits,
    ``.``, ``_`` and ``-`` becomes ``_``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._id_of: dict[str, str] = {}

    def write(self, id_: str, audio: dict[str, Any] | None, *, split: str) -> Path:
        """Write the ``{"bytes", "path"}`` of one row, whatever it holds.

        Whoever reads the file says what is wrong with it; no bytes at all make an empty one.

        Returns:
            The absolute path of the file.
        """
        content = (audio or {}).get("bytes") or b""
        name = self._name(id_, split) + _extension(content, (audio or {}).get("path"))
        path = self.folder / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def _name(self, id_: str, split: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", id_)[:_LONGEST_NAME]
        key = f"{split}/{name}".lower()
        if self._id_of.setdefault(key, id_) == id_:
            return name
        return f"{name}-{hashlib.sha256(id_.encode()).hexdigest()[:12]}"


def _extension(content: bytes, path: str | None) -> str:
    """What the bytes are, or else what the row's path says they are."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return ".wav"
    for start, extension in ((b"OggS", ".ogg"), (b"fLaC", ".flac"), (b"ID3", ".mp3")):
        if content.startswith(start):
            return extension
    if content[:1] == b"\xff" and content[1:2] >= b"\xe0":
        return ".mp3"
    named = re.search(r"\.[A-Za-z0-9]{1,5}$", path or "")
    return named[0].lower() if named else ".audio"
