from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan, Word
from slue_ner.evaluation.ner import num_in_place, num_matches


def in_place(reference, prediction):
    return num_in_place(
        reference, prediction, gold=reference.entities, predicted=prediction.entities
    )


@pytest.fixture(scope="session")
def place_of(make_reference, make_prediction):
    return lambda gold, predicted: in_place(make_reference(gold), make_prediction(predicted))


def test_an_entity_in_the_right_place_is_right(place_of):
    assert place_of("the [ORG eu] in [PLACE brussels]", "the [ORG eu] in [PLACE brussels]") == 2


def test_words_missed_and_added_elsewhere_do_not_move_an_entity(place_of):
    assert place_of("we thank the [ORG eu] today", "thank uh the [ORG eu] to day") == 1


def test_the_right_phrase_in_the_wrong_place_is_wrong(place_of):
    assert place_of("[ORG eu] law and eu budget", "eu law and [ORG eu] budget") == 0


def test_the_label_must_agree_too(place_of):
    assert place_of("the [ORG eu] budget", "the [PLACE eu] budget") == 0


def test_two_same_phrases_are_told_apart(place_of):
    assert place_of("[ORG eu] law [ORG eu] budget", "[ORG eu] law eu budget") == 1


def test_among_equally_good_alignments_the_kindest_one_decides(place_of):
    # one of the two words was not heard, and nobody can say which
    assert place_of("[PLACE paris] paris", "[PLACE paris]") == 1
    assert place_of("paris [PLACE paris]", "[PLACE paris]") == 1


def test_one_alignment_must_hold_all_entities_at_once(place_of):
    # swapped words: an alignment with two edits keeps either of them, never both
    assert place_of("[PLACE paris] [PLACE rome]", "[PLACE rome] [PLACE paris]") == 1


def test_a_prediction_on_the_same_words_twice_counts_once(make_reference, make_prediction):
    twice = (EntitySpan("ORG", "eu", words=(1, 2)),) * 2
    prediction = make_prediction("the eu", entities=twice)
    assert in_place(make_reference("the [ORG eu]"), prediction) == 1
    assert in_place(make_reference("uh the [ORG eu]"), prediction) == 1


def test_an_entity_without_a_word_range_is_never_in_place(make_reference, make_prediction):
    prediction = make_prediction("the eu", entities=(EntitySpan("ORG", "eu"),))
    assert in_place(make_reference("the [ORG eu]"), prediction) == 0


def test_an_empty_word_range_is_never_in_place(make_reference, make_prediction):
    prediction = make_prediction("the", entities=(EntitySpan("ORG", "eu", words=(1, 1)),))
    assert in_place(make_reference("the [ORG eu]"), prediction) == 0


def test_silences_are_not_counted_as_words(make_reference, make_prediction):
    heard = (Word("the", 0.1, 0.2), Word("", 0.2, 0.3), Word("eu", 0.3, 0.5))
    entity = EntitySpan("ORG", "eu", words=(2, 3))
    prediction = make_prediction("the eu", words=heard, entities=(entity,))
    assert in_place(make_reference("the [ORG eu]"), prediction) == 1


def test_the_words_of_the_reference_alignment_play_no_role(make_reference, make_prediction):
    silence = (Word("", 0.0, 0.1),)
    assert in_place(make_reference("[ORG eu]", words=silence), make_prediction("[ORG eu]")) == 1


def test_a_word_range_that_is_not_there_is_named(make_reference, make_prediction):
    prediction = make_prediction("the eu", entities=(EntitySpan("ORG", "eu", words=(2, 3)),))
    with pytest.raises(ValueError, match=r"prediction a: entity 'eu' covers words \[2, 3\) but"):
        in_place(make_reference("the [ORG eu]"), prediction)


def kindest_alignment(hypothesis, words, pairs):
    """Fewest edits, then most places held: one table over all prefixes."""

    @cache
    def edits(first, last, gold_first, gold_last):
        if first == last or gold_first == gold_last:
            return last - first + gold_last - gold_first
        return min(
            edits(first, last - 1, gold_first, gold_last) + 1,
            edits(first, last, gold_first, gold_last - 1) + 1,
            edits(first, last - 1, gold_first, gold_last - 1)
            + (hypothesis[last - 1] != words[gold_last - 1]),
        )

    best = {}
    for i in range(len(hypothesis) + 1):
        for j in range(len(words) + 1):
            ways = [(0, 0)] if i == j == 0 else []
            if i:
                ways.append((best[i - 1, j][0] + 1, best[i - 1, j][1]))
            if j:
                ways.append((best[i, j - 1][0] + 1, best[i, j - 1][1]))
            if i and j:
                wrong = hypothesis[i - 1] != words[j - 1]
                ways.append((best[i - 1, j - 1][0] + wrong, best[i - 1, j - 1][1]))
            for (a, b), (c, d) in pairs:
                if (b, d) == (i, j):
                    ways.append((best[a, c][0] + edits(a, b, c, d), best[a, c][1] - 1))
            best[i, j] = min(ways)
    return -best[len(hypothesis), len(words)][1]


marked = st.lists(
    st.sampled_from(["eu", "un", "x", "[ORG eu]", "[ORG un]", "[ORG eu un]", "[ORG eu eu]"]),
    min_size=1,
    max_size=7,
).map(" ".join)


@settings(max_examples=200)
@given(gold=marked, predicted=marked)
def test_places_agree_with_a_search_through_all_alignments(
    make_reference, make_prediction, gold, predicted
):
    reference, prediction = make_reference(gold), make_prediction(predicted)
    words, heard = reference.text.split(), prediction.text.split()
    pairs = []
    for ours in prediction.entities:
        for theirs in reference.entities:
            first = reference.text[: theirs.start_char].count(" ")
            place = (first, first + len(theirs.phrase.split()))
            if ours.phrase == theirs.phrase:
                pairs.append((ours.words, place))
    expected = kindest_alignment(heard, words, pairs)
    assert in_place(reference, prediction) == expected
    assert expected <= num_matches(reference.entities, predicted=prediction.entities)


@given(gold=marked)
def test_a_perfect_prediction_is_all_in_place(make_reference, make_prediction, gold):
    reference = make_reference(gold)
    assert in_place(reference, make_prediction(gold)) == len(reference.entities)
