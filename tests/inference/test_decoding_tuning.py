from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance
from slue_ner.decoding.beam.scoring_rules import BeamOptions
from slue_ner.decoding.emissions import EmissionsWriter, StoredEmissions, read_emissions
from slue_ner.decoding.lm.ngram_file import write_model
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.inference.beam_decoding import CTCDecoding, DecodingTrial, _climb, tune_decoding
from slue_ner.text.vocabulary import Vocabulary

MOVES = [(name, way) for name in ("word_score", "entity_score") for way in (1.0, -1.0)]


def climbed(word: float, entity: float, moves=MOVES) -> tuple[DecodingTrial, int]:
    """From zero, where F1 falls with the distance from a peak; and how many trials it took."""
    tried: dict[BeamOptions, DecodingTrial] = {}

    def trial(options: BeamOptions) -> DecodingTrial:
        away = abs(options.word_score - word) + abs(options.entity_score - entity)
        return tried.setdefault(options, DecodingTrial(options, f1=1 - away / 100, wer=0.0))

    return _climb(trial(BeamOptions()), moves, trial, "f1"), len(tried)


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_a_climb_ends_within_half_a_step_of_the_peak(word, entity):
    best, num_trials = climbed(word, entity)
    assert abs(best.options.word_score - word) <= 0.5 + 1e-9
    assert abs(best.options.entity_score - entity) <= 0.5 + 1e-9
    assert num_trials <= abs(word) + abs(entity) + 2 * len(MOVES)


def test_a_climb_stays_in_range():
    best, _ = climbed(50.0, -50.0)
    assert (best.options.word_score, best.options.entity_score) == (10.0, -10.0)


def test_equal_f1_is_decided_by_wer_and_the_other_way_round():
    options = BeamOptions()
    good = DecodingTrial(options, f1=0.5, wer=0.1)
    assert good.better(DecodingTrial(options, f1=0.5, wer=0.2), "f1")
    assert good.better(DecodingTrial(options, f1=0.4, wer=0.1), "wer")
    assert not good.better(good, "f1")


@pytest.mark.parametrize(("by", "message"), [("f1", "has entities"), ("wer", "has a text")])
def test_references_that_cannot_be_measured_are_refused(tmp_path, by, message):
    vocabulary = Vocabulary.build(["a"], COMBINED)
    emissions = StoredEmissions(tmp_path, "ctc", vocabulary.symbols, FrameGrid(), "", {}, [])
    silent = [Utterance("a", "tune", None, 16_000, 16_000, "")]
    with pytest.raises(ValueError, match=f"none of the references {message}"):
        tune_decoding(silent, emissions, CTCDecoding(), vocabulary=vocabulary, by=by)


@pytest.mark.parametrize(
    ("files", "moved"),
    [
        ({}, set()),
        ({"hot_words": "hot.txt"}, set()),
        ({"lexicon": "words.txt"}, {"unknown_score"}),
        ({"character_lm": "letters.arpa"}, {"lm_weight"}),
    ],
)
def test_weights_of_what_is_not_there_are_not_searched(tmp_path, files, moved):
    vocabulary = Vocabulary.build(["a"], None)
    with EmissionsWriter(
        tmp_path / "e", kind="ctc", symbols=vocabulary.symbols, grid=FrameGrid(), model_hash=""
    ) as writer:
        writer.add("a", np.log(np.full((3, len(vocabulary)), 1 / len(vocabulary))))
    (tmp_path / "hot.txt").write_text("a")
    (tmp_path / "words.txt").write_text("a")
    write_model(train([["a", "|"]], order=1)[0], tmp_path / "letters.arpa")
    start = CTCDecoding(
        **{name: tmp_path / file for name, file in files.items()},
        options=BeamOptions(unknown_score=-1.0),
    )
    said = [Utterance("a", "tune", None, 16_000, 16_000, "a")]
    stored = read_emissions(tmp_path / "e")
    trials = tune_decoding(said, stored, start, vocabulary=vocabulary, by="wer")
    searched = {"lm_weight", "unknown_score"}
    assert moved == {n for n in searched if len({getattr(t.options, n) for t in trials}) > 1}
