"""The README's section on one's own data, run as it is printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from wavlm_folder import save as save_wavlm

from slue_ner.core.records import read_manifest, read_predictions

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "README.md").read_text().split("## Your own data\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    """Fenced code of the section."""
    found = re.findall(r"```(\w*)\n(.*?)```", SECTION, flags=re.DOTALL)
    return [text for named, text in found if named == language]


def commands() -> list[list[str]]:
    """Every command of the section as words, comments left out."""
    lines = "".join(blocks("")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture
def tiny_wavlm(tmp_path: Path) -> Path:
    """Stands in for the hub's WavLM, which no test can download."""
    return save_wavlm(tmp_path / "wavlm")


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``my.jsonl``: the README's line for twelve utterances of six speakers."""
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("json")
    random = np.random.default_rng(0)
    lines = []
    for number in range(12):
        record = json.loads(example)
        record |= {"id": f"a{number}", "audio": f"a{number}.wav", "speaker": str(number // 2)}
        soundfile.write(record["audio"], random.uniform(-0.1, 0.1, 24_000), 16_000)
        lines.append(json.dumps(record) + "\n")
    Path("my.jsonl").write_text("".join(lines))
    return tmp_path


def test_the_commands_go_from_lines_to_a_score(
    slue_ner: Any, own_data: Path, tiny_wavlm: Path
) -> None:
    assert [words[1] for words in commands()] == ["prepare", "train", "predict", "score"]
    small = [
        f"encoder.source={tiny_wavlm}",
        *("trainer.max_updates=2", "trainer.validate_every=2", "trainer.num_threads=1"),
    ]
    for program, *arguments in commands():
        assert program == "slue-ner"
        ended = slue_ner(*arguments, *(small if arguments[0] == "train" else []))
        assert ended.status == 0, ended.err
    assert "ner f1" in ended.out
    sizes = {
        split: len(read_manifest(Path(f"data/mine/{split}.jsonl")))
        for split in ("fine-tune", "tune", "dev")
    }
    assert sizes == {"fine-tune": 8, "tune": 2, "dev": 2}  # whole speakers, two utterances each
    dev = read_manifest(Path("data/mine/dev.jsonl"))
    assert dev[0].text == "the eu budget in brussels"
    assert [entity.phrase for entity in dev[0].entities] == ["eu", "brussels"]
    assert {p.id for p in read_predictions(Path("runs/mine/dev.jsonl"))} == {u.id for u in dev}


def test_the_help_points_to_the_one_place_that_has_the_fields(slue_ner: Any) -> None:
    ended = slue_ner("prepare", "jsonl", "--help")
    assert "docs/own_data.md" in ended.out
    page = (ROOT / "docs" / "own_data.md").read_text()
    for field in ("id", "audio", "text", "entities", "speaker", "split", "words"):
        assert f"\n| `{field}` | " in page
