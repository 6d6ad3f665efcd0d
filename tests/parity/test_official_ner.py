"""SLUE's rules for NER scores, written down a second time and independently of the product.

The rules: map each label, drop what has no place in the combined set, append to every
(tag, phrase) how often it has been seen in this utterance, intersect the two sets, and add up.
"""

import statistics
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.core.labels import OFFICIAL_LABELS
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.evaluation.score import score

COMBINED = {
    **dict.fromkeys(["DATE", "TIME", "WHEN"], "WHEN"),
    **dict.fromkeys(["CARDINAL", "ORDINAL", "QUANTITY", "MONEY", "PERCENT", "QUANT"], "QUANT"),
    **dict.fromkeys(["GPE", "LOC", "PLACE"], "PLACE"),
    **{label: label for label in ("NORP", "ORG", "LAW", "PERSON")},
}

PHRASES = ["eu", "the eu", "two", "paris", "jos\u00e9"]
pair_lists = st.lists(
    st.tuples(st.sampled_from(sorted(OFFICIAL_LABELS)), st.sampled_from(PHRASES)), max_size=7
)
corpora = st.lists(st.tuples(pair_lists, pair_lists), min_size=1, max_size=6)


def numbered(pairs):
    seen = defaultdict(int)
    items = []
    for tag, phrase in pairs:
        if tag in COMBINED:
            key = COMBINED[tag], phrase
            items.append((*key, seen[key]))
            seen[key] += 1
    return items


def official(references, hypotheses, *, ignore_phrases=False):
    right, guessed, true = (defaultdict(int) for _ in range(3))
    for gold, heard in zip(references, hypotheses, strict=True):
        if ignore_phrases:
            gold, heard = ([(tag, "phrase") for tag, _ in side] for side in (gold, heard))
        gold_items, heard_items = numbered(gold), numbered(heard)
        for tag, *_ in gold_items:
            true[tag] += 1
        for item in heard_items:
            guessed[item[0]] += 1
            right[item[0]] += item in gold_items

    def rates(num_right, num_guessed, num_true):
        precision = num_right / num_guessed if num_guessed else 0
        recall = num_right / num_true if num_true else 0
        both = precision + recall
        return precision, recall, 2 * precision * recall / both if both else 0

    per_tag = {tag: rates(right[tag], guessed[tag], true[tag]) for tag in {*true, *guessed}}
    micro = rates(*(sum(count.values()) for count in (right, guessed, true)))
    macro = tuple(map(statistics.mean, zip(*per_tag.values(), strict=True))) if per_tag else None
    return micro, macro, per_tag


def ours(references, hypotheses):
    spans = [[EntitySpan(*pair) for pair in side] for side in (*references, *hypotheses)]
    count = len(references)
    utterances = [
        Utterance(str(i), "dev", None, None, 16_000, "", entities=tuple(spans[i]))
        for i in range(count)
    ]
    predictions = [Prediction(str(i), "", entities=tuple(spans[count + i])) for i in range(count)]
    return score(utterances, predictions)


def triple(rates):
    return rates["precision"], rates["recall"], rates["f1"]


@pytest.mark.parametrize("kind", ["ner", "ner_label"])
@settings(max_examples=150, deadline=None)
@given(corpus=corpora)
def test_scores_equal_those_of_the_official_rules(kind, corpus):
    references, hypotheses = zip(*corpus, strict=True)
    micro, macro, per_tag = official(references, hypotheses, ignore_phrases=kind == "ner_label")
    found = ours(references, hypotheses).entities[kind]
    assert triple(found.to_json()["micro"]) == pytest.approx(micro)
    assert found.macro is None if macro is None else triple(found.macro) == pytest.approx(macro)
    assert set(found.per_label) == set(per_tag)
    for tag, rates in per_tag.items():
        assert triple(found.per_label[tag].to_json()) == pytest.approx(rates)


def test_repeats_are_counted_and_not_collapsed_to_a_set():
    found = ours([[("ORG", "eu")] * 3], [[("ORG", "eu")] * 2]).entities["ner"].micro
    assert (found.tp, found.pred, found.gold) == (2, 2, 3)


def test_types_that_slue_drops_are_dropped_from_both_sides():
    found = ours([[("FAC", "x"), ("ORG", "eu")]], [[("EVENT", "y")]]).entities["ner"].micro
    assert (found.tp, found.pred, found.gold) == (0, 0, 1)


def test_raw_types_of_one_combined_type_agree():
    found = ours([[("GPE", "eu")]], [[("LOC", "eu")]]).entities["ner"].micro
    assert found.tp == 1
