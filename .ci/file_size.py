"""Fails for files above 500 kB, or above 20 MB under checkpoints/."""

import sys
from pathlib import Path

bad = []
for name in sys.argv[1:]:
    path = Path(name)
    limit = 20_000_000 if path.parts[0] == "checkpoints" else 500_000
    if path.stat().st_size > limit:
        bad.append(name)
        print(f"{name}: {path.stat().st_size:,} bytes, the limit is {limit:,}")
sys.exit(bool(bad))
