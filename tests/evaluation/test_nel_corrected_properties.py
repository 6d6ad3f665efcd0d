import pytest
from hypothesis import given
from hypothesis import strategies as st
from nel_records import instants, labels, prediction, predictions, references

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.nel_corrected import (
    cover_words,
    expose,
    frame_counts_corrected,
    word_counts_corrected,
)

aligned = references(estimated=True)
rhos = st.sampled_from([1.0, 0.8, 0.5])


def everything(gold, predicted, rho=0.8):
    covered = cover_words(gold.words, gold.entities, predicted)
    frames = frame_counts_corrected(gold.words, gold.entities, predicted)
    return frames, word_counts_corrected(covered, rho=rho), expose(covered)


@given(aligned, predictions, rhos)
def test_counts_are_not_negative_and_shares_lie_between_0_and_1(gold, guess, rho):
    frames, words, exposure = everything(gold, guess.entities, rho)
    for counts in (frames, words):
        assert min(counts.tp, counts.fp, counts.fn) >= 0
    for share in (exposure.leakage, exposure.over_redaction):
        assert share is None or 0 <= share <= 1


@given(aligned, predictions, rhos)
def test_what_is_gold_does_not_depend_on_the_prediction(gold, guess, rho):
    with_it, without = everything(gold, guess.entities, rho), everything(gold, (), rho)
    assert [c.gold for c in with_it[:2]] == [c.gold for c in without[:2]]
    assert with_it[2].entity_seconds == without[2].entity_seconds
    assert with_it[2].other_seconds == without[2].other_seconds


@given(references(min_length=0.01))
def test_a_prediction_of_every_entity_word_has_no_error(gold):
    words = [gold.words[i] for entity in gold.entities for i in range(*entity.words)]
    guess = prediction(*((word.start, word.end) for word in words))
    frames, counts, exposure = everything(gold, guess.entities, rho=1.0)
    assert frames.fp == frames.fn == counts.fp == counts.fn == 0
    assert exposure.leakage in (None, pytest.approx(0, abs=1e-9))
    assert exposure.over_redaction in (None, pytest.approx(0, abs=1e-9))


@given(aligned, predictions, st.randoms(use_true_random=False), rhos)
def test_the_order_of_predictions_does_not_matter(gold, guess, random, rho):
    shuffled = random.sample(guess.entities, len(guess.entities))
    assert everything(gold, shuffled, rho) == everything(gold, guess.entities, rho)


@given(aligned, predictions, st.floats(0, 1), rhos)
def test_splitting_a_prediction_at_a_point_changes_nothing(gold, guess, share, rho):
    split = []
    for entity in guess.entities:
        middle = min(entity.end, entity.start + share * (entity.end - entity.start))
        split += [(middle, entity.end), (entity.start, middle)]
    assert everything(gold, prediction(*split).entities, rho) == everything(
        gold, guess.entities, rho
    )


@given(aligned, predictions, instants, instants, rhos)
def test_more_coverage_never_lowers_recall_nor_raises_leakage(gold, guess, one, other, rho):
    more = (*guess.entities, EntitySpan("ORG", None, start=min(one, other), end=max(one, other)))
    before, after = everything(gold, guess.entities, rho), everything(gold, more, rho)
    assert after[0].recall >= before[0].recall
    assert after[1].recall >= before[1].recall
    assert after[2].leaked_seconds <= before[2].leaked_seconds + 1e-9
    assert after[2].hidden_seconds >= before[2].hidden_seconds - 1e-9


@given(aligned, predictions)
def test_a_stricter_tolerance_never_finds_more_words(gold, guess):
    strict, loose = (everything(gold, guess.entities, rho)[1] for rho in (1.0, 0.5))
    assert strict.tp <= loose.tp
    assert strict.fp <= loose.fp


@given(aligned, predictions, labels)
def test_labels_play_no_role_in_one_utterance(gold, guess, label):
    relabelled = prediction(*((e.start, e.end, label) for e in guess.entities))
    assert everything(gold, relabelled.entities) == everything(gold, guess.entities)
