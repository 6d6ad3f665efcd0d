from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan
from slue_ner.text.bio import to_bio
from slue_ner.text.noise import spoil


@st.composite
def sentences(draw):
    """Words and entities that do not overlap."""
    words = draw(st.lists(st.text("abcxyz'", min_size=1, max_size=6), min_size=1, max_size=12))
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=8)))
    entities = [
        EntitySpan("ORG", " ".join(words[a:b]), words=(a, b))
        for a, b in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    return words, entities


@given(sentences(), st.floats(0, 1), st.integers(0, 1000))
def test_entities_survive_noise_as_valid_spans_in_their_order(sentence, noise, seed):
    words, entities = sentence
    spoiled, moved = spoil(words, entities, noise=noise, random=np.random.default_rng(seed))
    assert all(spoiled) and 1 <= len(spoiled) <= len(words)
    assert [entity.label for entity in moved] == [entity.label for entity in entities]
    to_bio(len(spoiled), moved)  # raises for spans that are empty, overlap or leave the sentence
    for entity in moved:
        assert entity.phrase == " ".join(spoiled[slice(*entity.words)])
    assert list(moved) == sorted(moved, key=lambda entity: entity.words)


@given(sentences(), st.integers(0, 1000))
def test_without_noise_nothing_changes(sentence, seed):
    words, entities = sentence
    made = spoil(words, entities, noise=0.0, random=np.random.default_rng(seed))
    assert made == (words, tuple(entities))


def test_full_noise_joins_all_words_between_entities():
    words = ["in", "new", "york", "and", "rome"]
    entities = [
        EntitySpan("GPE", "new york", words=(1, 3)),
        EntitySpan("GPE", "rome", words=(4, 5)),
    ]
    spoiled, moved = spoil(words, entities, noise=1.0, random=np.random.default_rng(0))
    # "in new york and" close up; "and" belongs to the first entity then, so "rome" stays apart
    assert len(spoiled) == 2
    assert [entity.words for entity in moved] == [(0, 1), (1, 2)]


def test_the_share_of_spoiled_letters_is_the_noise():
    words = ["brussels"] * 2000
    spoiled, _ = spoil(words, (), noise=0.05, random=np.random.default_rng(0))
    # 1999 gaps close with 5 %: 100 +- 10; of 16,000 letters 800 +- 28 are hit, a third put in and
    # a third left out, so the length stays within 4 standard deviations (4 * sqrt(533))
    assert 1840 < len(spoiled) < 1960
    assert abs(len("".join(spoiled)) - 16_000) < 93


def test_the_same_seed_spoils_in_the_same_way():
    made = [
        spoil(["european", "union"] * 9, (), noise=0.3, random=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]
