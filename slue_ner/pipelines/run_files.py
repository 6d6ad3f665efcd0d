"""Names of a run folder's files, and its config; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.json"


def read_config(path: Path) -> dict[str, Any]:
    """Read a composed config; YAML tags that would build objects are refused."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} should hold a mapping, got {type(values).__name__}")
    return values
