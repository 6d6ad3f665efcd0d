"""NEL inside the score object, its intervals and its table."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nel_records import prediction, predictions, reference, references, words
from rich.console import Console

from slue_ner.core.types import EntitySpan, Prediction
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.nel_official import frame_counts_official
from slue_ner.evaluation.score import score
from slue_ner.evaluation.statistics import measure
from slue_ner.evaluation.table import render

TIMED = words(("eu", 0.0, 1.0), ("in", 1.0, 2.0), ("rome", 2.0, 3.0))
PATHS = (
    *("nel.frame_official.f1", "nel.frame_corrected.f1"),
    *("nel.word_official.0.8.f1", "nel.word_corrected.0.8.f1"),
)

corpora = st.lists(st.tuples(references(estimated=True), predictions), min_size=1, max_size=4).map(
    lambda pairs: [
        [replace(record, id=str(i)) for i, record in enumerate(side)]
        for side in zip(*pairs, strict=True)
    ]
)


@pytest.fixture(scope="module")
def found():
    """One utterance perfect, in the other the second of two entities missed."""
    gold = [reference(TIMED, (0, 1), (2, 3), id=id, speaker=id) for id in "ab"]
    perfect, half = prediction((0.0, 1.0), (2.0, 3.0), id="a"), prediction((0.0, 1.0), id="b")
    half = replace(half, entities=(*half.entities, EntitySpan("ORG", "rome")))
    return score(gold, [perfect, half], intervals=BootstrapOptions(resamples=200))


def test_headline_figures_have_intervals(found):
    bounds = found.intervals.bounds
    assert bounds["nel.frame_official.f1"] == (pytest.approx(2 / 3), 1.0)  # b twice, a twice
    assert bounds["nel.frame_corrected.f1"] == (pytest.approx(2 / 3), 1.0)
    assert bounds["nel.word_official.0.8.f1"] == (1.0, 1.0)  # the miss comes last
    assert bounds["nel.word_corrected.0.8.f1"] == (pytest.approx(2 / 3), 1.0)


def test_nel_figures_appear_once_in_the_score_object(found):
    content = found.to_json()
    assert [key for key in content if key.startswith("nel")] == ["nel"]
    assert content["nel"]["frame_official"]["f1"] == pytest.approx(6 / 7)  # 300 of 400 bins
    assert content["nel"]["word_official"]["0.8"]["f1"] == 1.0
    assert content["nel"]["word_corrected"]["0.8"]["f1"] == pytest.approx(6 / 7)


def test_the_table_shows_official_figures_with_corrected_ones_below(found):
    file = io.StringIO()
    render(found, Console(file=file, width=80))
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    first = lines.index("nel frame f1, official 85.7 66.7 to 100.0 300 300 400")
    assert lines[first + 1 : first + 4] == [
        "corrected 85.7 66.7 to 100.0 300 300 400",
        "nel word f1, official 100.0 100.0 to 100.0 3 3 3",
        "corrected 85.7 66.7 to 100.0 3 3 4",
    ]
    assert (
        "leakage 25.0 %; over-redaction 0.0 %; boundaries off by 0 ms (median), 0 ms (p90); "
        "predicted entities without times: 1\n"
    ) in file.getvalue()


def test_without_word_times_the_table_has_no_row_and_says_why():
    file = io.StringIO()
    render(score([reference(TIMED, (0, 1), words=None)], [prediction()]), Console(file=file))
    assert "nel frame" not in file.getvalue()
    assert "not computed: nel: none of the 1 references has word times" in file.getvalue()


@settings(max_examples=40)
@given(corpora)
def test_the_score_object_survives_json(corpus):
    gold, guesses = corpus
    content = score(gold, guesses, intervals=BootstrapOptions(resamples=20)).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content


@settings(max_examples=40)
@given(corpora)
def test_rows_add_up_to_the_figures_they_are_behind(corpus):
    gold, guesses = corpus
    found = measure(list(zip(gold, guesses, strict=True)), labels="combined", seen_phrases=None)
    if found.nel is None:
        return
    for path, counts in found.nel.headline.items():
        assert found.total(path) == counts
    assert found.nel.frame_official == frame_counts_official(gold, guesses)
    rates = found.rates(found.matrix().sum(axis=0))
    assert set(PATHS) <= set(rates)
    for path, counts in zip(PATHS, found.nel.headline.values(), strict=True):
        assert rates[path] == pytest.approx(counts.f1) or not counts.pred + counts.gold


@settings(max_examples=40)
@given(corpora)
def test_figures_for_each_label_have_the_gold_frames_of_all(corpus):
    found = score(*corpus).nel
    if found is not None:
        by_label = found.frame_per_label.values()
        assert sum(counts.gold for counts in by_label) == found.frame_corrected.gold


def test_of_times_without_words_only_times_are_scored():
    gold = [reference(TIMED, (0, 1), (2, 3), id=id, speaker=id) for id in "ab"]
    silent = [
        Prediction(id=id, text="", entities=(EntitySpan("ORG", None, start=0.0, end=1.0),))
        for id in "ab"
    ]
    found = score(gold, silent, intervals=BootstrapOptions(resamples=50))
    assert found.nel is not None
    assert found.nel.headline["nel.frame_official"].f1 == pytest.approx(2 / 3)
    values = found.to_json()
    assert not {"wer", "cer", "ner", "ner_label", "ner_position"} & values.keys()
    assert {path.split(".")[0] for path in values["intervals"]} == {"nel"}
    assert values["not_computed"]["wer"].startswith("the predictions have times but no words;")
    out = io.StringIO()
    render(found, Console(file=out, width=120))
    assert "nel frame f1, official" in out.getvalue() and "\n wer " not in out.getvalue()


@pytest.mark.parametrize(
    "changed",
    [{"text": "eu"}, {"words": ()}, {"entities": (EntitySpan("ORG", "eu"),)}, {"entities": ()}],
    ids=["text", "words that are none", "phrase", "nothing at all"],
)
def test_a_system_that_writes_or_finds_nothing_is_scored_in_words(changed):
    gold = [reference(TIMED, (0, 1), id="a", speaker="a")]
    timed = EntitySpan("ORG", None, start=0.0, end=1.0)
    prediction = replace(Prediction(id="a", text="", entities=(timed,)), **changed)
    assert "wer" in score(gold, [prediction]).error_rates
