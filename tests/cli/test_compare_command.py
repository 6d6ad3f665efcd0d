from __future__ import annotations

import csv
import io
import json
import shutil

import pytest

from slue_ner.cli.main import main


@pytest.fixture(scope="module")
def trained(tiny_overrides, tmp_path_factory):
    """The folder of a sweep over two seeds, as ``slue-ner train -m`` leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "sweep"
    overrides = [*tiny_overrides, "trainer.max_updates=1", f"run_dir={folder}"]
    assert main(["train", "-m", *overrides, "seed=0,1"]) == 0
    return folder


@pytest.fixture
def sweep(trained, tmp_path):
    """A copy to change."""
    return shutil.copytree(trained, tmp_path / "sweep")


def test_a_sweep_is_one_markdown_table_where_there_is_no_terminal(slue_ner, sweep):
    ended = slue_ner("compare", str(sweep))
    assert (ended.status, ended.err) == (0, "")
    header, _, first, second = ended.out.splitlines()
    assert header.startswith("| run | split | strategy | encoder | data | trainable | seed |")
    assert "| F1 seen | F1 unseen |" in header
    assert first.startswith("| sweep/seed=0 | dev | full | wav2vec2-bert, random weights | tiny_c")
    assert second.startswith("| sweep/seed=1 | dev |")
    assert " -m " in second.split("|")[-2]


def test_csv_is_all_there_is_on_standard_output(slue_ner, sweep):
    (sweep / "seed=1/metrics.json").unlink()
    ended = slue_ner("compare", str(sweep), "--format", "csv")
    assert ended.status == 0
    (row,) = csv.DictReader(io.StringIO(ended.out))
    scores = json.loads((sweep / "seed=0/metrics.json").read_text())["splits"]["dev"]
    assert float(row["wer"]) == scores["wer"]
    assert [float(row["wer_low"]), float(row["wer_high"])] == scores["intervals"]["wer"]
    assert ended.err == (
        f"slue-ner compare: 1 of 2 runs in {sweep} are not finished, left out: seed=1\n"
    )


def test_seeds_are_folded_on_request(slue_ner, sweep):
    ended = slue_ner("compare", str(sweep), "--seeds", "--format", "json")
    (row,) = json.loads(ended.out)["rows"]
    assert (row["run"], row["seed"], row["num_seeds"]) == ("sweep", "0, 1", 2)
    assert row["wer_sd"] is not None


def test_a_terminal_table_can_be_asked_for(slue_ner, sweep):
    ended = slue_ner("compare", str(sweep), "--format", "terminal", "--sort", "name")
    assert ended.status == 0
    assert max(map(len, ended.out.splitlines())) <= 100
    assert "\u2500" in ended.out
    assert "hardware" not in ended.out


def test_chosen_columns_come_in_the_order_given(slue_ner, sweep):
    ended = slue_ner("compare", str(sweep), "--columns", "seed,run", "--split", "dev")
    assert ended.out.splitlines()[0] == "| seed | run |"
    assert ended.out.splitlines()[2] == "| 0 | sweep/seed=0 |"


def test_the_table_is_written_into_a_page(slue_ner, sweep, tmp_path):
    page = tmp_path / "README.md"
    page.write_text("<!-- mine -->\n<!-- /mine -->\n")
    ended = slue_ner("compare", str(sweep), "--into", str(page), "--block", "mine")
    assert ended.out == f"table of 2 rows written into {page}\n"
    assert page.read_text().count("| sweep/seed=") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--columns", "run,wre"), "unknown column 'wre'; did you mean 'wer'?"),
        (("--split", "dve"), "no run has a split 'dve'; did you mean 'dev'?"),
        (("--into", "page.md", "--format", "csv"), "--into writes Markdown, not csv; leave one of"),
        (("gone",), "gone is no run folder and holds none"),
    ],
)
def test_a_slip_in_a_comparison_is_one_sentence(slue_ner, sweep, arguments, message):
    ended = slue_ner("compare", str(sweep), *arguments)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_a_sweep_without_a_finished_run_is_refused_after_naming_its_runs(slue_ner, sweep):
    for path in sweep.glob("*/metrics.json"):
        path.unlink()
    ended = slue_ner("compare", str(sweep))
    assert ended.status == 1
    note, error = ended.err.splitlines()
    assert note.endswith(
        "2 of 2 runs in " + str(sweep) + " are not finished, left out: " + ("seed=0; seed=1")
    )
    assert error.endswith("there is nothing to compare: no finished run has a scored split")
