"""The README's daily work, unedited, on a hub cache of tiny models and data."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hub_rows import SCHEMA
from text_models import save_roberta
from wavlm_folder import save as save_wavlm

from slue_ner.core.files import read_json
from slue_ner.core.records import read_manifest

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0f" * 20


def commands() -> list[list[str]]:
    section = (ROOT / "README.md").read_text().split("## The daily work\n")[1]
    (block,) = re.findall(r"```\n(.*?)```", section.split("\n## ")[0], flags=re.DOTALL)
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines]


def cached(cache: Path, kind: str, id: str) -> Path:
    """The folder of a download in the hub's cache."""
    repository = cache / f"{kind}--{id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


@pytest.fixture
def hub_cache(timed_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `hf download` would have put there, tiny; and no network."""
    cache = tmp_path / "cache"
    rows: dict[str, list[dict[str, Any]]] = {}
    for split, name in (("fine-tune", "train"), ("tune", "validation"), ("dev", "test")):
        for u in read_manifest(timed_corpus / f"{split}.jsonl"):
            spans = {
                "type": [e.label for e in u.entities],
                "start": [e.start_char for e in u.entities],
                "length": [e.end_char - e.start_char for e in u.entities],
            }
            rows.setdefault(name, []).append(
                {
                    "id": u.id,
                    "audio": {"bytes": u.audio.read_bytes(), "path": u.audio.name},
                    "speaker_id": u.speaker,
                    "normalized_text": u.text,
                    "raw_text": u.text,
                    "normalized_ner": spans,
                    "normalized_combined_ner": None,
                }
            )
    data = cached(cache, "datasets", "asapp/slue") / "voxpopuli"
    data.mkdir(parents=True)
    for name, of_split in rows.items():
        table = pyarrow.Table.from_pylist(of_split, schema=SCHEMA)
        pyarrow.parquet.write_table(table, data / f"{name}-00000-of-00001.parquet")
    save_wavlm(cached(cache, "models", "microsoft/wavlm-base-plus"))
    save_roberta(cached(cache, "models", "microsoft/deberta-base"), max_positions=514)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("SLUE_NER_MAX_UPDATES", "1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_every_command_of_the_daily_work_runs_as_it_is_printed(slue_ner: Any, hub_cache: None):
    for program, *arguments in commands():
        assert program == "slue-ner"
        ended = slue_ner(*arguments)
        assert ended.status == 0, f"{shlex.join(arguments)}: {ended.err}{ended.out}"
    runs = sorted(path.name for path in Path("runs/strategies").iterdir() if path.is_dir())
    assert len(runs) == 12
    assert read_json(Path("runs/wavlm/metrics.json"))["run"]["training"]["updates"] == 1
    assert "localizer.yaml" in ended.out and Path("runs/wavlm/localizer.yaml").is_file()
    shutil.rmtree("runs")


@pytest.mark.parametrize("cap", ["0", "many", "-1"])
def test_a_cap_that_is_no_number_of_updates_is_refused(slue_ner, monkeypatch, tiny_overrides, cap):
    monkeypatch.setenv("SLUE_NER_MAX_UPDATES", cap)
    ended = slue_ner("train", *tiny_overrides)
    assert ended.status == 1 and f"SLUE_NER_MAX_UPDATES={cap} should be" in ended.err
