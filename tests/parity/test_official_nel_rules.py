"""SLUE's rules for NEL scores, written down a second time, bin by bin and word by word."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nel_records import prediction, predictions, reference, references

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_official import (
    RHOS,
    frame_counts_official,
    frame_rows_official,
    word_rows_official,
)

unaligned = references().map(lambda gold: replace(gold, words=None))
any_reference = st.one_of(references(), references(), references(), unaligned)


def bin_of(seconds):
    return int((seconds * 1) / 0.01)


def times_of(entities):
    return [(e.start, e.end) for e in entities if e.start is not None]


def slow_frames(gold, guess):
    """Rules 2 to 4 of frame F1 with one set member for every bin."""
    listed = times_of(guess.entities)
    if not listed:
        return 0, 0, sum(bin_of(b) - bin_of(a) for a, b in times_of(gold.entities))
    if gold.words is None:
        return 0, sum(bin_of(b) - bin_of(a) for a, b in listed), 0
    length = bin_of(max(listed[-1][1], gold.words[-1].end))
    true = set()
    for entity in gold.entities:
        for number in range(*entity.words):
            word = gold.words[number]
            true |= {i for i in range(bin_of(word.start), bin_of(word.end)) if i < length}
    guessed = {i for a, b in listed for i in range(bin_of(a), bin_of(b)) if i < length}
    return len(true & guessed), len(guessed - true), len(true - guessed)


def quotient(overlap, length):
    if length == 0:
        return "nan" if overlap == 0 else float("-inf")
    return overlap / length


def slow_words(gold, guess, rho):
    """The walk of word F1, told as what happens to one word after the other."""
    listed = times_of(guess.entities)
    if not listed:
        return 0, 0, sum(len(entity.phrase.split(" ")) for entity in gold.entities)
    inside = {i for entity in gold.entities for i in range(*(entity.words or (0, 0)))}
    tp = fp = fn = k = 0
    for number, word in enumerate(gold.words or ()):
        if k >= len(listed):
            return tp, fp, fn
        is_entity = number in inside
        if word.text == "":
            if listed[k][1] <= word.end:
                k += 1
        elif listed[k][0] >= word.end:
            fn += is_entity
        else:
            overlap = min(listed[k][1], word.end) - max(listed[k][0], word.start)
            while k < len(listed) and listed[k][1] <= word.end:
                k += 1
                if k < len(listed) and listed[k][0] < word.end:
                    overlap += min(listed[k][1], word.end) - max(listed[k][0], word.start)
            ratio = quotient(overlap, word.end - word.start)
            covered = ratio == "nan" or ratio >= rho
            tp += is_entity and covered
            fp += covered and not is_entity
            fn += is_entity and not covered
    return tp, fp, fn


@settings(max_examples=150)
@given(gold=any_reference, guess=predictions)
def test_frames_equal_those_of_the_official_rules(gold, guess):
    assert tuple(frame_rows_official([(gold, guess)])[0].tolist()) == slow_frames(gold, guess)


@settings(max_examples=150)
@given(gold=any_reference, guess=predictions)
def test_words_equal_those_of_the_official_walk(gold, guess):
    found = word_rows_official([(gold, guess)])
    for rho in RHOS:
        assert tuple(found[rho][0].tolist()) == slow_words(gold, guess, rho)


@settings(max_examples=50)
@given(st.lists(st.tuples(any_reference, predictions), max_size=4))
def test_every_utterance_has_a_row_of_its_own(pairs):
    rows = frame_rows_official(pairs)
    assert [tuple(row) for row in rows.tolist()] == [slow_frames(*pair) for pair in pairs]
    for rho, rows in word_rows_official(pairs).items():
        assert [tuple(row) for row in rows.tolist()] == [slow_words(*p, rho) for p in pairs]


def test_a_data_set_is_joined_by_id_and_summed():
    timed = [("eu", 0.0, 1.0)]
    references = [reference(timed, (0, 1), id=id) for id in "abc"]
    predictions = [prediction((0.5, 1.2), id="b"), prediction(id="c"), prediction((0, 1), id="a")]
    # a: 100 right; b: 50 right, 20 spurious, 50 missed; c: 100 missed
    assert frame_counts_official(references, predictions) == Counts(tp=150, fp=20, fn=150)
    with pytest.raises(ValueError, match=r"1 ids \(c\) have a reference but no prediction"):
        frame_counts_official(references, [predictions[0], predictions[2]])


def test_an_entity_without_times_is_not_missed_where_nothing_is_predicted():
    gold = reference([("eu", 0.0, 1.0), ("news", 1.0, 2.0)], (0, 1))
    of_ner_alone = EntitySpan("PRODUCT", "news", 3, 7)
    both = replace(gold, entities=(*gold.entities, of_ner_alone))
    assert word_rows_official([(both, prediction())])[0.8].tolist() == [[0, 0, 1]]
    assert frame_rows_official([(both, prediction())]).tolist() == [[0, 0, 100]]


def test_no_utterance_at_all_gives_no_rows():
    assert frame_rows_official([]).shape == (0, 3)
    assert {rho: rows.shape for rho, rows in word_rows_official([]).items()} == dict.fromkeys(
        RHOS, (0, 3)
    )
