from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.data.synthesis.voices import BASES, HELD_OUT_VARIANTS, VARIANTS, draw_voices

SPLITS = ("fine-tune", "tune", "dev", "test")

counts = st.dictionaries(st.sampled_from(SPLITS), st.integers(1, 120), min_size=1)
seeds = st.integers(0, 2**32)
accents = st.integers(1, len(BASES))


@given(counts, seeds, accents)
def test_dev_and_test_have_the_held_out_variants_and_training_has_none(numbers, seed, num_accents):
    for split, voices in draw_voices(numbers, seed=seed, num_accents=num_accents).items():
        for voice in voices:
            assert (voice.variant in HELD_OUT_VARIANTS) == (split in ("dev", "test"))


@given(counts, seeds, accents)
def test_no_two_splits_share_a_kind_of_voice_or_an_id(numbers, seed, num_accents):
    drawn = draw_voices(numbers, seed=seed, num_accents=num_accents)
    kinds = [{voice.kind for voice in voices} for voices in drawn.values()]
    assert sum(map(len, kinds)) == len(set().union(*kinds))
    ids = [voice.id for voices in drawn.values() for voice in voices]
    assert len(set(ids)) == len(ids) == sum(numbers.values())


@given(counts, seeds, accents)
def test_every_split_gets_its_speakers_with_the_first_accents(numbers, seed, num_accents):
    drawn = draw_voices(numbers, seed=seed, num_accents=num_accents)
    assert {split: len(voices) for split, voices in drawn.items()} == numbers
    assert {v.base for voices in drawn.values() for v in voices} <= set(BASES[:num_accents])


def test_held_out_variants_are_held_out_of_every_corpus():
    # an encoder pre-trained on one synthetic corpus meets new voices in dev and test of another
    trained = {
        voice.variant
        for seed in range(3)
        for voice in draw_voices({"fine-tune": 400, "tune": 20}, seed=seed)["fine-tune"]
    }
    assert trained == set(VARIANTS) - set(HELD_OUT_VARIANTS)


def test_held_out_variants_are_variants_of_both_sexes():
    assert set(HELD_OUT_VARIANTS) < set(VARIANTS)
    assert {name[0] for name in HELD_OUT_VARIANTS if name[1:].isdigit()} == {"f", "m"}


@pytest.mark.parametrize("num_accents", [0, 9, -1])
def test_accents_that_do_not_exist_are_refused(num_accents):
    with pytest.raises(ValueError, match=rf"num_accents should be in \[1, 8\], got {num_accents}"):
        draw_voices({"dev": 1}, seed=0, num_accents=num_accents)


def test_a_split_without_speakers_is_refused():
    with pytest.raises(ValueError, match="split tune needs at least 1 voice, got 0"):
        draw_voices({"fine-tune": 3, "tune": 0}, seed=0)
