from __future__ import annotations

import csv
import io
import json

import pytest
from compare_runs import score_object, write_run
from rich.console import Console

from slue_ner.analysis.columns import COLUMNS, TERMINAL, choose, filled
from slue_ner.analysis.compare import compare
from slue_ner.analysis.seeds import fold_seeds
from slue_ner.analysis.tables import to_csv, to_json, to_markdown, to_terminal, write_into


@pytest.fixture
def rows(tmp_path):
    rows, _ = compare(
        [write_run(tmp_path / f"strategies/seed={seed}", seed=seed) for seed in (0, 1)]
    )
    return rows


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_markdown_shows_percent_with_one_decimal_and_intervals_in_brackets(rows):
    header, _, line, _ = to_markdown(rows, choose(list(COLUMNS))).splitlines()
    shown = dict(zip(cells(header), cells(line), strict=True))
    assert shown == {
        **{"run": "seed=0", "split": "dev", "strategy": "lora", "seed": "0", "updates": "1250"},
        **{"encoder": "microsoft/wavlm-base-plus", "data": "slue_voxpopuli"},
        **{"trainable": "0.5 M (25 %)", "F1": "50.0 [40.0, 60.0]", "label F1": "75.0"},
        **{"WER": "25.0", "CER": "-", "F1 seen": "-", "F1 unseen": "-", "seconds": "61"},
        **{"NEL frame F1": "-", "NEL frame F1 corrected": "-"},
        **{"NEL word F1": "-", "NEL word F1 corrected": "-"},
        **{
            "memory": "1.0 GiB",
            "audio-s/s": "80",
            "repairs": "-",
            "hardware": "x86_64 CPU, 2 cores",
        },
        **{"commit, date": "bfc096672380, 2026-11-21", "command": "`slue-ner train -m seed=0,1`"},
    }


def test_columns_without_a_figure_in_any_row_can_be_left_out(rows):
    left = [column.title for column in filled(choose(list(COLUMNS)), rows)]
    assert "F1 seen" not in left
    assert len(left) == len(COLUMNS) - 8


def test_a_bar_in_a_command_does_not_end_its_cell(tmp_path):
    rows, _ = compare([write_run(tmp_path / "a", command="slue-ner train name='a|b'")])
    table = to_markdown(rows, choose(["run", "command"]))
    assert table.endswith("| a | `slue-ner train name='a\\|b'` |")


@pytest.mark.parametrize(
    ("in_encoder", "of_encoder", "of_model", "shown"),
    [
        (94_400_000, 94_400_000, 94_425_000, "94.4 M (100 %)"),
        (0, 94_400_000, 94_425_000, "25,000 (0.0265 %)"),  # a frozen encoder, a head on top
        (0, 94_400_000, 94_400_013, "13 (<0.01 %)"),
        (294_912, 94_400_000, 94_425_000, "0.3 M (0.339 %)"),  # adapters and a head
    ],
)
def test_heads_and_mixing_count_among_what_is_trainable(
    tmp_path, in_encoder, of_encoder, of_model, shown
):
    adaptation = {"num_trainable": in_encoder, "num_total": of_encoder}
    training = {"model_parameters": of_model}
    rows, _ = compare([write_run(tmp_path / "a", adaptation=adaptation, training=training)])
    assert COLUMNS["trainable"].text(rows[0]) == shown


def test_csv_holds_fractions_and_the_ends_of_intervals_in_fields_of_their_own(rows):
    first, second = csv.DictReader(
        io.StringIO(to_csv(rows, choose(["run", "f1", "wer", "seconds"])))
    )
    assert first == {
        **{"run": "seed=0", "f1": "0.5", "f1_low": "0.4", "f1_high": "0.6", "f1_sd": ""},
        **{"wer": "0.25", "wer_low": "", "wer_high": "", "wer_sd": "", "seconds": "61.4"},
    }
    assert second["run"] == "seed=1"


def test_json_holds_the_same_fields_with_null_for_what_is_not_known(rows):
    content = json.loads(to_json(rows, choose(["seed", "trainable", "f1", "seen_f1", "memory"])))
    assert content["schema"] == 1
    assert content["rows"][1] == {
        **{"seed": 1, "num_seeds": 1, "num_trainable": 501_000, "trainable_share": 501 / 2001},
        **{"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "f1_sd": None},
        **{"seen_f1": None, "seen_f1_low": None, "seen_f1_high": None, "seen_f1_sd": None},
        "peak_memory_bytes": 2**30,
    }


def test_folded_seeds_have_the_same_fields(rows):
    columns = choose(list(COLUMNS))
    (before, _), (after,) = (
        json.loads(to_json(some, columns))["rows"] for some in (rows, fold_seeds(rows))
    )
    assert list(after) == list(before)
    assert (after["seed"], after["num_seeds"], after["f1_sd"]) == ("0, 1", 2, 0.0)


def test_an_unknown_column_is_pointed_at_the_nearest():
    with pytest.raises(ValueError, match="unknown column 'labelf1'; did you mean 'label_f1'"):
        choose(["run", "labelf1"])


@pytest.mark.parametrize("fold", [False, True])
def test_the_terminal_table_fits_a_hundred_columns_and_cuts_nothing_off(tmp_path, fold):
    strategy = "frozen_weighted_sum"
    runs = [
        write_run(
            tmp_path / f"strategies/adaptation={strategy},optim.lr=[1e-4],seed={seed}",
            seed=seed,
            splits={"fine-tune": score_object()},
            adaptation={"strategy": strategy, "num_trainable": 94_400_000},
        )
        for seed in range(3)
    ]
    rows, _ = compare([runs[0].parent])
    out = io.StringIO()
    table = to_terminal(fold_seeds(rows) if fold else rows, choose(TERMINAL))
    Console(file=out, width=100).print(table)
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= 100
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert ("[40.0, 60.0]" in shown) is not fold
    assert ("50.0 \N{PLUS-MINUS SIGN} 0.0 (3)" in shown) is fold
    header, _, *lines = shown.splitlines()
    names = "".join(line[: header.index("split")].strip() for line in lines)
    assert names.startswith("strategies/adaptation=frozen_weighted_sum,optim.lr=[1e-4]")


def test_a_table_is_written_between_its_marks_again_and_again(tmp_path, rows):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    table = to_markdown(rows, choose(["run", "f1"]))
    write_into(page, "results", table)
    write_into(page, "results", table)
    content = page.read_text()
    assert content.startswith("before\n<!-- results -->\n| run | F1 |")
    assert content.endswith("|\n<!-- /results -->\nafter\n")
    assert content.count("| seed=0 |") == 1


def test_a_page_without_the_marks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs the lines <!-- results -->"):
        write_into(tmp_path / "none.md", "results", "x")


def test_a_page_keeps_its_ends_of_lines(tmp_path, rows):
    page = tmp_path / "README.md"
    page.write_bytes(b"before\r\n<!-- results -->\r\n<!-- /results -->\r\nafter\r\n")
    write_into(page, "results", to_markdown(rows[:1], choose(["run"])))
    assert page.read_bytes() == (
        b"before\r\n<!-- results -->\r\n| run |\r\n| --- |\r\n| seed=0 |\r\n<!-- /results -->"
        b"\r\nafter\r\n"
    )


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("no marks", "needs the lines <!-- a --> and <!-- /a --> around the table"),
        ("<!-- a -->", "needs the lines"),
        ("<!-- /a --> <!-- a -->", "needs the lines"),
        ("<!-- /a --> <!-- a --> <!-- /a -->", "needs the lines"),
        ("<!-- a --> <!-- /a --> <!-- a --> <!-- /a -->", "more than once; give each table a name"),
        ("<!-- a --> <!-- a --> <!-- /a -->", "more than once"),
    ],
)
def test_a_page_needs_its_marks_once_and_in_order(tmp_path, page, message):
    path = tmp_path / "page.md"
    path.write_text(page)
    with pytest.raises(ValueError, match=message):
        write_into(path, "a", "table")
    assert path.read_text() == page


def test_a_page_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "page.md").write_bytes(b"ol\xe9 <!-- a --><!-- /a -->")
    with pytest.raises(ValueError, match=r"page\.md is not UTF-8 text"):
        write_into(tmp_path / "page.md", "a", "table")


def test_a_name_with_a_line_end_or_a_bar_stays_one_cell(tmp_path):
    rows, _ = compare([write_run(tmp_path / "a\nb|c")])
    assert to_markdown(rows, choose(["run"])).splitlines()[2:] == [r"| a b\|c |"]
