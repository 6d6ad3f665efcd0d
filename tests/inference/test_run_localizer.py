from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from given_emissions import GivenEmissions
from rich.console import Console

from slue_ner.core.labels import COMBINED
from slue_ner.core.records import write_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.decoding.localizers import LocalizerOptions
from slue_ner.inference import localizer_fit
from slue_ner.inference.localizer_fit import fit_localizer
from slue_ner.inference.localizing import KeptLocalizer, read_localizer, run_localizer
from slue_ner.inference.transcribing import CTCPredictor
from slue_ner.text.vocabulary import Vocabulary

GRID = FrameGrid(hop=320, window=400)  # 20 ms frames
LATE = 10  # frames: 0.2 s
NAMES = (("ana", "rome"), ("bo", "york"))


def spoken(number: int, *, split: str = "tune") -> Utterance:
    """Three words, the first and the last an entity, 0.4 s between them."""
    name, place = NAMES[number % 2]
    first = round(0.6 + 0.02 * number, 2)
    begins = (first, round(first + 0.6, 2), round(first + 1.2, 2))
    texts = (name, "in", place)
    words = tuple(Word(t, b, round(b + 0.24, 2)) for t, b in zip(texts, begins, strict=True))
    entities = tuple(
        EntitySpan(
            label,
            words[i].text,
            start_char=at,
            end_char=at + len(words[i].text),
            words=(i, i + 1),
            start=words[i].start,
            end=words[i].end,
        )
        for i, label, at in ((0, "PERSON", 0), (2, "PLACE", len(name) + 4))
    )
    text = " ".join(texts)
    return Utterance(
        f"u{number}", split, None, 48_000, 16_000, text, words=words, entities=entities
    )


def emitted(utterance: Utterance, vocabulary: Vocabulary) -> np.ndarray:
    """Letters that fill their words, ``LATE`` frames late, and marks in the pauses around them."""
    symbols = [0] * 150  # blanks
    marks = {} if vocabulary.labels is None else {0: "$", 2: "%"}
    for index, word in enumerate(utterance.words):
        first, stop = round(word.start * 50) + LATE, round(word.end * 50) + LATE
        for frame in range(first, stop):
            letter = word.text[(frame - first) * len(word.text) // (stop - first)]
            (symbols[frame],) = vocabulary.encode([letter])
        (delimiter,) = vocabulary.encode(["|"])
        symbols[stop + 1] = delimiter
        if index in marks:
            symbols[first - 4], symbols[first - 2] = *vocabulary.encode([marks[index]]), delimiter
            symbols[stop + 3], symbols[stop + 5] = *vocabulary.encode(["]"]), delimiter
    values = np.full((150, len(vocabulary)), -12.0, dtype=np.float32)
    values[np.arange(150), symbols] = -1e-4
    return values


class LatePredictor(CTCPredictor):
    """Emits what ``emitted`` says."""

    def emit(self, utterances, *, keep, **_):
        rows = {u.id: emitted(u, self.vocabulary) for u in utterances}
        for id, values in rows.items():
            keep(id, values)
        return GivenEmissions(rows, grid=GRID)


@pytest.fixture
def run(tmp_path):
    """``run("tagged", tune)``: a late model, its tune split and where its localizer goes."""

    def make(target, tune):
        write_manifest(tmp_path / "data/tune.jsonl", tune)
        labels = COMBINED if target == "tagged" else None
        vocabulary = Vocabulary.build([u.text for u in map(spoken, range(2))], labels)
        predictor = LatePredictor(SimpleNamespace(grid=GRID), vocabulary)
        return predictor, tmp_path / "data/tune.jsonl", tmp_path / "localizer.yaml"

    return make


def fit(run):
    """What was fitted, and what was said."""
    output = io.StringIO()
    console = Console(file=output, width=300)
    return fit_localizer(*run, device="cpu", console=console), output.getvalue()


@pytest.mark.parametrize("target", ["tagged", "plain"])
def test_a_model_that_is_late_gets_its_lateness_taken_off(run, target):
    late = run(target, [spoken(number) for number in range(6)])
    fitted, said = fit(late)
    assert fitted.options == LocalizerOptions(kind="words", with_blanks=False, offset=-0.2)
    assert fitted.align_offset == -0.2
    assert fitted.align_ms == pytest.approx(0, abs=1e-6)
    assert fitted.frame_f1 > 0.97
    assert fitted.tuned_on == "6 utterances of tune.jsonl"
    assert run_localizer(late[2].parent) == fitted == read_localizer(late[2])
    assert "localizer: words without blanks, -0.20 s, tuned on 6 utterances of tune.jsonl" in said
    assert "alignment -0.20 s (median error 0 ms on tune)" in said


def test_a_run_is_fitted_once(run, monkeypatch):
    late = run("tagged", [spoken(0)])
    fitted, _ = fit(late)
    monkeypatch.setattr(LatePredictor, "emit", None)  # calling it would raise
    assert fit(late) == (fitted, "")


def test_utterances_without_word_times_take_no_part(run):
    bare = [replace(spoken(number), words=None, entities=()) for number in (2, 3)]
    fitted, _ = fit(run("tagged", [spoken(0), spoken(1), *bare]))
    assert fitted.tuned_on == "2 utterances of tune.jsonl"
    assert fitted.options.offset == -0.2


@pytest.mark.parametrize("target", ["tagged", "plain"])
def test_without_word_times_times_stay_as_decoded(run, target):
    late = run(target, [replace(spoken(0), words=None, entities=())])
    fitted, said = fit(late)
    assert fitted == KeptLocalizer(options=LocalizerOptions())
    assert read_localizer(late[2]) == fitted
    assert "the localizer is not searched: no utterance of tune.jsonl has word times" in said


def test_where_no_entity_was_found_right_the_offset_is_that_of_aligned_words(run, monkeypatch):
    heard = localizer_fit.decode

    def deaf(*arguments, **options):
        return [Prediction(p.id, "", words=(), tokens=()) for p in heard(*arguments, **options)]

    monkeypatch.setattr(localizer_fit, "decode", deaf)
    fitted, said = fit(run("tagged", [spoken(0)]))
    assert fitted.options == LocalizerOptions(offset=-0.2)
    assert (fitted.tuned_on, fitted.frame_f1) == ("1 utterances of tune.jsonl", None)
    assert fitted.align_offset == -0.2
    assert "is not searched: nothing that was found in 1 utterances of tune.jsonl overlaps" in said


def test_a_split_that_nothing_may_be_tuned_on_ends_no_training(run):
    fitted, said = fit(run("tagged", [spoken(0, split="test")]))
    assert fitted == KeptLocalizer(options=LocalizerOptions())
    assert "is of the split test, which nothing may be tuned on" in said
