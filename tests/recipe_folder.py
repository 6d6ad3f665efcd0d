"""The recipes in an empty folder, with commands that only note what they were told."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUBS = {
    "slue-ner": """#!/usr/bin/env bash
line=$(printf '%q ' "$@")
echo "$line" >> "$COMMANDS"
while [ $# -gt 1 ]; do
  if [ "$1" = --output ]; then mkdir -p "$(dirname "$2")"; touch "$2"; fi
  if [[ $1 == name=* ]]; then
    run=runs/${1#name=}
    mkdir -p "$run"
    touch "$run"/{config.yaml,metrics.json}
  fi
  shift
done
""",
    "torchrun": '#!/usr/bin/env bash\nwhile [ "$1" != slue-ner ]; do shift; done\nexec "$@"\n',
    "flite": "#!/usr/bin/env bash\nexit 1\n",
}
"""They note the words of a command and do nothing but make the files that it would write."""

SOURCES = ("DATA", "NAME", "SO762", "SLUE_NEURAL", "SLUE_TEXT", "CONFORMER")
"""What whoever runs the tests may have set for the recipes, which the tests set themselves."""


class RecipeFolder:
    """A copy of ``recipes`` without results.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        done = shutil.ignore_patterns("results")  # what is there is not made again
        shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=done)
        for name, text in STUBS.items():
            stub = folder / "bin" / name
            stub.parent.mkdir(exist_ok=True)
            stub.write_text(text)
            stub.chmod(0o755)

    def touch(self, *names: str) -> None:
        """Make empty files, with their folders."""
        for name in names:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).touch()

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script with its arguments."""
        settings = {
            "COMMANDS": str(self.folder / "commands.txt"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        own = {name: value for name, value in os.environ.items() if name not in SOURCES}
        return subprocess.run(
            ["bash", *script.split()],
            cwd=self.folder,
            env={**own, **settings, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def commands(self) -> list[list[str]]:
        """The words behind ``slue-ner``, of all commands so far."""
        noted = self.folder / "commands.txt"
        return [shlex.split(line) for line in noted.read_text().splitlines()]
