import io

import pytest
from rich.console import Console

from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score
from slue_ner.evaluation.table import explain, render


@pytest.fixture
def printed(make_reference, make_prediction):
    references = [make_reference("the [ORG eu] in [GPE paris]", id=id) for id in ("x[1]", "y")]
    predictions = [
        make_prediction("the [ORG eu] in [PLACE paris]", id="x[1]"),
        make_prediction("the [ORG eu] in paris", id="y", num_repairs=3),
    ]
    found = score(references, predictions, intervals=BootstrapOptions(resamples=100))
    file = io.StringIO()
    render(found, Console(file=file, width=80))
    return file.getvalue()


def row(printed, name):
    return next(line.split() for line in printed.splitlines() if line.strip().startswith(name))


def test_rates_are_in_percent_beside_their_interval_and_counts(printed):
    # 3 of 4 found, nothing spurious: F1 = 6/7; either utterance may be drawn twice
    assert row(printed, "ner f1") == ["ner", "f1", "85.7", "66.7", "to", "100.0", "3", "3", "4"]
    assert row(printed, "PLACE f1") == ["PLACE", "f1", "66.7", "1", "1", "2"]
    assert row(printed, "wer") == ["wer", "0.0", "0.0", "to", "0.0"]


def test_the_first_row_is_f1(printed):
    rows = [line.split() for line in printed.splitlines() if line.strip()]
    assert rows[2][:2] == ["ner", "f1"] and rows[-1][0] != "ner"


def test_every_row_is_explained(printed):
    file = io.StringIO()
    explain(Console(file=file, width=80))
    terms = [line.split(": ")[0] for line in file.getvalue().splitlines()]
    known = {name for term in terms for name in term.split(", ")}
    for name in ("ner f1", "ner_label f1", "ner_position f1", "ner_tolerant f1", "wer", "cer"):
        assert name in known and name in printed


def test_the_footer_says_how_figures_were_made_and_what_is_absent(printed):
    assert "2 utterances; labels: combined; repaired tags: 3" in printed
    assert "intervals: 95 % percentile bootstrap by utterance, 100 resamples, seed 0" in printed
    assert "not computed: wer_asr: 2 references have no asr_text: x[1], y" in printed


def test_the_table_is_plain_text_where_there_is_no_terminal(printed):
    assert "\x1b" not in printed


def test_kinds_of_clusters_are_counted_where_they_are_mixed(make_reference, make_prediction):
    speakers = {"a": "x", "b": "y", "c": None}
    references = [make_reference("eu", id=id, speaker=name) for id, name in speakers.items()]
    predictions = [make_prediction("eu", id=id) for id in speakers]
    file = io.StringIO()
    found = score(references, predictions, intervals=BootstrapOptions(resamples=10))
    render(found, Console(file=file, width=80))
    assert "percentile bootstrap by speaker (2), utterance (1), 10 resamples" in file.getvalue()


@pytest.mark.parametrize(("resamples", "is_said"), [(1, True), (39, True), (40, False)])
def test_resamples_too_few_for_the_ends_of_an_interval_are_said(
    make_reference, make_prediction, resamples, is_said
):
    # 2.5 % of 40 resamples is one
    references = [make_reference("in [GPE paris]", id=id) for id in "xy"]
    predictions = [make_prediction("in [PLACE paris]", id=id) for id in "xy"]
    found = score(references, predictions, intervals=BootstrapOptions(resamples=resamples))
    file = io.StringIO()
    render(found, Console(file=file, width=80))
    assert ("seed 0 (too few for these ends; take 1000)" in file.getvalue()) is is_said
