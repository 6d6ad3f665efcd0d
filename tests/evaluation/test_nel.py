from dataclasses import replace

import pytest
from nel_records import placed, prediction, reference, words

from slue_ner.core.types import EntitySpan, Prediction
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel import measure_nel, why_not_localized
from slue_ner.evaluation.score import score

TIMED = words(("eu", 0.0, 1.0), ("in", 1.0, 2.0), ("rome", 2.0, 3.0), ("now", 3.0, 4.0))
GOLD = reference(TIMED, (0, 1, "ORG"), (2, 3, "GPE"))


def nel(*pairs, labels="combined"):
    return measure_nel(pairs, labels=labels)[0]


def test_the_nel_object_of_a_hand_worked_utterance():
    # "eu" is half covered, "in" to one quarter, "rome" is missed, 0.5 s of "now" are covered
    guess = prediction((0.5, 1.25, "ORG"), (3.0, 3.5, "PLACE"))
    found = nel((GOLD, guess)).to_json()
    # tp 50, fp 25 + 50, fn 50 + 100
    rates = {"precision": 0.4, "recall": 0.25, "f1": 4 / 13, "tp": 50, "pred": 125, "gold": 200}
    assert found["frame_official"] == found["frame_corrected"] == {**rates, "fp": 75, "fn": 150}
    assert found["frame_per_label"] == {
        "ORG": {
            **{"precision": 2 / 3, "recall": 0.5, "f1": 4 / 7, "tp": 50, "pred": 75, "gold": 100},
            **{"fp": 25, "fn": 50},
        },
        "PLACE": {
            **{"precision": 0.0, "recall": 0.0, "f1": 0.0, "tp": 0, "pred": 50, "gold": 100},
            **{"fp": 50, "fn": 100},
        },
    }
    for kind in ("word_official", "word_corrected"):
        assert list(found[kind]) == ["1.0", "0.9", "0.8", "0.7", "0.6", "0.5"]
        assert found[kind]["0.8"] == {
            **{"precision": 0.0, "recall": 0.0, "f1": 0.0, "tp": 0, "pred": 0, "gold": 2},
            **{"fp": 0, "fn": 2},
        }
        assert found[kind]["0.5"] == {
            **{"precision": 0.5, "recall": 0.5, "f1": 0.5, "tp": 1, "pred": 2, "gold": 2},
            **{"fp": 1, "fn": 1},
        }
    # one pair: the starts are 500 ms apart, the ends 250 ms
    assert found["boundary_ms"] == {
        "median": pytest.approx(375.0),
        "p90": pytest.approx(475.0),
        "num_matched": 1,
    }
    assert found["leakage"] == 0.75  # 1.5 of 2 s
    assert found["over_redaction"] == 0.375  # 0.75 of 2 s
    assert (found["num_untimed"], found["num_unaligned"], found["num_unplaced"]) == (0, 0, 0)


def test_labels_act_on_corrected_figures_and_not_on_official_ones():
    gold = reference(TIMED, (0, 1, "FAC"), (2, 3, "GPE"))
    guess = prediction((0.0, 1.0, "FAC"), (2.0, 3.0, "LOC"))
    combined, raw = nel((gold, guess)), nel((gold, guess), labels="raw")
    assert combined.frame_official == raw.frame_official == Counts(tp=200)
    assert combined.frame_corrected == Counts(tp=100)  # FAC is dropped from both sides
    assert combined.frame_per_label == {"PLACE": Counts(tp=100)}
    assert combined.exposure.other_seconds == 3.0
    assert raw.frame_per_label == {
        "FAC": Counts(tp=100),
        "GPE": Counts(fn=100),
        "LOC": Counts(fp=100),
    }


def test_a_reference_without_alignment_is_left_out_of_corrected_figures_and_counted():
    unaligned = reference(TIMED, (0, 1), id="b", words=None)
    guess = prediction((0.0, 1.0))
    found = nel((GOLD, guess), (unaligned, replace(guess, id="b")))
    assert found.num_unaligned == 1
    assert found.frame_official == Counts(tp=100, fp=100, fn=100)
    assert found.frame_corrected == Counts(tp=100, fn=100)
    assert found.exposure.entity_seconds == 2.0


def test_predicted_entities_without_times_are_left_out_and_counted():
    guess = Prediction("a", "", entities=(EntitySpan("ORG", "eu"), EntitySpan(None, None)))
    found = nel((GOLD, guess))
    assert found.num_untimed == 2
    assert found.frame_official == found.frame_corrected == Counts(fn=200)
    assert found.word_official[0.8] == found.word_corrected[0.8] == Counts(fn=2)
    assert found.frame_per_label == {"ORG": Counts(fn=100), "PLACE": Counts(fn=100)}


def test_a_timed_prediction_without_label_leaves_no_figure_for_each_label():
    found = nel((GOLD, prediction((0.0, 1.0, None))))
    assert found.frame_corrected == Counts(tp=100, fn=100)
    assert "frame_per_label" not in found.to_json()
    assert found.not_computed == {
        "nel.frame_per_label": "a predicted entity has times but no label"
    }


def test_what_there_is_nothing_of_is_absent_with_a_reason():
    found = nel((reference([("", 0.0, 1.0)]), prediction()))
    assert not {"boundary_ms", "leakage", "over_redaction"} & found.to_json().keys()
    assert found.not_computed == {
        "nel.boundary_ms": "no predicted entity overlaps a gold one",
        "nel.leakage": "the references have no entity with word times",
        "nel.over_redaction": "the references have no word outside entities",
    }


def test_gold_entities_without_words_are_counted():
    floating = EntitySpan("ORG", "eu", 0, 2)
    gold = reference(TIMED, entities=(floating, placed(TIMED, 2, 3)))
    assert nel((gold, prediction())).num_unplaced == 1


def test_no_word_times_at_all_are_an_obstacle():
    unaligned = reference(TIMED, (0, 1), words=None)
    assert why_not_localized([unaligned] * 3) == "none of the 3 references has word times"
    assert why_not_localized([unaligned, GOLD]) is None


def test_entities_of_which_none_has_words_are_an_obstacle():
    floating = reference(TIMED, entities=(EntitySpan("ORG", "eu", 0, 2),))
    assert why_not_localized([floating, floating]) == (
        "none of the 2 entities of the references has a range of words"
    )
    assert why_not_localized([reference(TIMED)]) is None  # no entity is no obstacle


def test_a_failed_prediction_misses_everything():
    failed = replace(prediction((0.0, 1.0)), error="CUDA error")
    found = score([GOLD], [failed]).nel
    assert found.frame_official == found.frame_corrected == Counts(fn=200)
