from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slue_ner.decoding.beam import BeamOptions
from slue_ner.pipelines.decoding_tuning import DecodingTrial, _climb

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
