"""The quickstart on a tiny corpus and a tiny run: what it runs, shows and tells to run next."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from slue_ner.cli import quickstart
from slue_ner.cli.compose import compose_config
from slue_ner.core.files import read_json
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.tasks.registry import run_config


@pytest.fixture
def ended(slue_ner, timed_corpus, tiny_overrides, tmp_path, monkeypatch):
    """The quickstart in an empty folder, its corpus and training replaced by small ones."""
    monkeypatch.chdir(tmp_path)

    def make_corpus(console):
        for split, source in (
            *((name, name) for name in ("fine-tune", "tune", "dev")),
            ("test", "dev"),
        ):
            utterances = read_manifest(timed_corpus / f"{source}.jsonl")
            utterances = [replace(u, split=split) for u in utterances]
            write_manifest(quickstart.DATA / f"{split}.jsonl", utterances)

    def train():
        tiny = [o for o in tiny_overrides if not o.startswith("data.root")]
        options = ("data.root=data/quickstart", "data.evaluate=[test]", "name=quickstart")
        return quickstart_main(["train", *tiny, *options, "trainer.max_updates=2"])

    from slue_ner.cli.main import main as quickstart_main

    monkeypatch.setattr(quickstart, "make_corpus", make_corpus)
    monkeypatch.setattr(quickstart, "_train", train)
    return slue_ner("quickstart")


def test_the_quickstart_scores_a_language_model_and_tells_commands_that_run(
    ended, slue_ner, tmp_path
):
    assert ended.status == 0, ended.err
    scored = read_json(tmp_path / "runs/quickstart/lm/quickstart_lm.json")
    assert scored["num_utterances"] == 4 and "nel" in scored
    assert scored["scored"]["command"].startswith("slue-ner score --references data/quickstart/")
    _, told = ended.out.split("what to run next:\n")
    commands = [shlex.split(line, comments=True) for line in told.splitlines() if line.strip()]
    assert [words[1] for words in commands] == ["compare", "predict", "score", "train", "prepare"]
    for _, *arguments in commands[:3]:
        again = slue_ner(*arguments)
        assert again.status == 0, again.err
    run_config(compose_config(commands[3][2:]))
    assert slue_ner("prepare", commands[4][2], "--help").status == 0
    assert Path("runs/quickstart/lm/dev.jsonl").is_file()
