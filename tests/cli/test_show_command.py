from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slue_ner.cli.show import clean
from slue_ner.core.records import write_manifest, write_predictions
from slue_ner.core.types import EntitySpan, Prediction, Utterance


def utterance(id: str, text: str, *entities: tuple[str, str]) -> Utterance:
    return Utterance(
        id=id,
        split="dev",
        audio=None,
        num_samples=16_000,
        sample_rate=16_000,
        text=text,
        entities=tuple(
            EntitySpan(
                label,
                phrase,
                start_char=text.index(phrase),
                end_char=text.index(phrase) + len(phrase),
            )
            for label, phrase in entities
        ),
    )


@pytest.fixture
def files(tmp_path):
    """A manifest of three, of which a is right, b has one wrong word and c a wrong type."""
    references = [
        utterance("a", "ana in rome", ("PERSON", "ana"), ("GPE", "rome")),
        utterance("b", "good morning all"),
        utterance("c", "the eu in brussels", ("ORG", "eu"), ("GPE", "brussels")),
    ]
    write_manifest(tmp_path / "dev.jsonl", references)
    place = EntitySpan("PLACE", "rome", words=(2, 3))
    predictions = [
        Prediction("a", "ana in rome", entities=(EntitySpan("PERSON", "ana", words=(0, 1)), place)),
        Prediction("b", "good morning ]all", entities=()),
        Prediction(
            "c",
            "the eu in brussels",
            entities=(
                EntitySpan("PLACE", "eu", words=(1, 2)),
                EntitySpan("PLACE", "brussels", words=(3, 4)),
            ),
        ),
    ]
    write_predictions(tmp_path / "found.jsonl", predictions)
    return [str(tmp_path / "found.jsonl"), "--references", str(tmp_path / "dev.jsonl")]


def test_the_worst_stands_first_with_what_is_wrong(slue_ner, files):
    out = slue_ner("show", *files).out
    assert [line.split("  ")[0] for line in out.splitlines()[:7:3]] == ["c", "b", "a"]
    assert "c  missed ORG 'eu', spurious PLACE 'eu'" in out
    assert "b  1 wrong words" in out and "a  right" in out
    assert "  said   the [eu]ORG in [brussels]PLACE" in out
    assert "  heard  the [eu]PLACE in [brussels]PLACE" in out
    assert "3 utterances of" in out and "1 with a wrong entity; 3 shown" in out


def test_marks_left_among_letters_are_not_shown(slue_ner, files):
    assert "  heard  good morning all" in slue_ner("show", *files).out
    kept = Prediction("x", "a ] b", entities=(EntitySpan("PLACE", "b", words=(2, 3)),))
    assert clean(kept).text.split()[2] == "b"


@pytest.mark.parametrize(
    ("more", "ids"),
    [
        (["--errors"], ["c"]),
        (["--label", "PERSON"], ["a"]),
        (["--label", "PLACE"], ["c", "a"]),
        (["--label", "PLACE", "--errors"], ["c"]),
        (["--label", "PERSON", "--errors"], []),
        (["--id", "b", "a"], ["b", "a"]),
        (["--limit", "1"], ["c"]),
    ],
)
def test_what_is_asked_for_is_shown(slue_ner, files, more, ids):
    lines = slue_ner("show", *files, *more).out.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1:3]] == ids


def test_how_to_see_more_is_said(slue_ner, files):
    assert "1 shown, --limit 3 shows 2 more" in slue_ner("show", *files, "--limit", "1").out


def test_a_picture_is_written_in_place_of_lines_and_loads_nothing(slue_ner, files, tmp_path):
    ended = slue_ner("show", *files, "--svg", str(tmp_path / "shown.svg"))
    assert ended.out == f"3 utterances -> {tmp_path}/shown.svg\n"
    picture = (tmp_path / "shown.svg").read_text()
    assert picture.startswith("<svg") and "brussels" in picture
    assert "http" not in picture.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_where_nobody_knows_what_was_said_what_was_heard_is_shown(slue_ner, files, tmp_path):
    manifest = Path(files[files.index("--references") + 1])
    lines = manifest.read_text()
    manifest.write_text(re.sub('"split": "[a-z-]+"', '"split": "untranscribed"', lines))
    out = slue_ner("show", *files).out
    assert "wrong words" not in out and "missed" not in out and "  said " not in out
    assert "c  1 entities, not transcribed" in out or "c  2 entities, not transcribed" in out


def test_a_run_shows_its_own_predictions(slue_ner, files, tmp_path):
    run = tmp_path / "run"
    (run / "predictions").mkdir(parents=True)
    (run / "config.yaml").write_text(json.dumps({"data": {"root": str(tmp_path)}}))
    (tmp_path / "found.jsonl").rename(run / "predictions/dev.jsonl")
    assert slue_ner("show", str(run)).out.startswith("c  missed ORG 'eu'")
    ended = slue_ner("show", str(run), "--split", "test")
    assert ended.status == 1 and "has no predictions of test (splits found: dev)" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: no such run folder or predictions file"),
        (["x.jsonl"], "x.jsonl is a predictions file; give its manifest by --references"),
        (["."], ". is not a run folder: it has no config.yaml"),
        (["x.jsonl", "--references", "y.jsonl", "--split", "dev"], "--split is for a run folder"),
        (["x.jsonl", "--limit", "0"], "--limit should be at least 1, got 0"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(slue_ner, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").touch()
    ended = slue_ner("show", *arguments)
    assert ended.status == 1 and message in ended.err and ended.out == ""


def test_an_unknown_id_is_named_with_the_nearest(slue_ner, files):
    ended = slue_ner("show", *files, "--id", "bb")
    assert ended.status == 1 and "--id bb is not there; did you mean 'b'" in ended.err


def test_the_package_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "slue_ner", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("slue-ner ")


def test_an_unknown_label_is_named_with_the_nearest(slue_ner, files):
    ended = slue_ner("show", *files, "--label", "place")
    assert ended.status == 1 and "--label place is shown nowhere; did you mean 'PLACE'" in ended.err
