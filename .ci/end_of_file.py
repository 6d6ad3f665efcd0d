"""Fails for text files that do not end with exactly one newline."""

import sys
from pathlib import Path

bad = []
for name in sys.argv[1:]:
    content = Path(name).read_bytes()
    if content and (not content.endswith(b"\n") or content.endswith(b"\n\n")):
        bad.append(name)
        print(f"{name}: should end with one newline")
sys.exit(bool(bad))
