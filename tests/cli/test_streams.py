"""Standard output that cannot show a character, is closed early, or is full."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from program import COMMAND

SAID = "ol\N{LATIN SMALL LETTER E WITH ACUTE} \N{GRINNING FACE}"


@pytest.fixture
def score(tmp_path):
    """The command that scores one utterance whose id an ASCII terminal cannot show."""
    record = {"schema": 1, "id": SAID, "text": "hello"}
    reference = {**record, "split": "dev", "asr_text": None}
    for name, line in (("dev", reference), ("found", {**record, "entities": []})):
        Path(tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    files = ["--references", "dev.jsonl", "--predictions", "found.jsonl"]
    return [*COMMAND, "score", *files, "--resamples", "0"]


def ended(command, folder, **options):
    return subprocess.run(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        **options,
    )


def test_what_an_encoding_lacks_is_escaped_as_in_json(score, tmp_path):
    done = ended(score, tmp_path, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"asr_text: ol\u00e9 \ud83d\ude00" in done.stdout


def test_json_is_still_json_where_the_encoding_is_narrow(score, tmp_path):
    done = ended([*score, "--json", "-"], tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert SAID in json.loads(done.stdout)["not_computed"]["wer_asr"]


@pytest.mark.parametrize("options", [[], ["--json", "-"]], ids=["table", "json"])
def test_a_reader_that_left_is_no_error_to_tell(score, tmp_path, options):
    reader, writer = os.pipe()
    os.close(reader)
    done = ended([*score, *options], tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("options", [[], ["--json", "-"]], ids=["table", "json"])
def test_a_full_disk_under_standard_output_is_one_sentence(score, tmp_path, options):
    with open("/dev/full", "w") as full:
        done = ended([*score, *options], tmp_path, stdout=full)
    sentence = "slue-ner score: cannot write standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, sentence)


def test_a_closed_standard_output_takes_what_comes(score, tmp_path):
    done = ended(["sh", "-c", 'exec "$@" >&-', "sh", *score, "--json", "scores.json"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "scores.json").read_text())["wer"] == 0.0
