import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from slue_ner.evaluation.wer import Edits, character_edits, rejoin_apostrophes, word_edits

sentences = st.lists(st.sampled_from(["the", "eu", "'s", "bud", "budget"]), max_size=8).map(
    " ".join
)
corpora = st.lists(st.tuples(sentences.filter(bool), sentences), min_size=1, max_size=6)


def test_words_are_counted_against_the_reference():
    # eu -> u (1), budget is lost (1), uh is added (1)
    assert word_edits("the u uh in", reference="the eu budget in") == Edits(2, 4)
    assert word_edits("uh the u in", reference="the eu budget in") == Edits(3, 4)


def test_nothing_heard_costs_every_word():
    assert word_edits("", reference="the eu") == Edits(2, 2)


def test_words_where_there_are_none_are_insertions():
    assert word_edits("the eu", reference="") == Edits(2, 0)


def test_characters_include_the_spaces_between_words():
    assert character_edits("eubudget", reference="eu budget") == Edits(1, 9)
    assert character_edits(" eu ", reference="eu") == Edits(0, 2)


@pytest.mark.parametrize("space", ["\t", "\n", "\u3000", " \x1c"])
def test_white_space_of_any_kind_is_between_words(space):
    assert word_edits(f"{space}the{space}eu", reference="the eu") == Edits(0, 2)
    assert word_edits("the eu", reference=f"the{space}eu{space}bud") == Edits(1, 3)


@given(st.text() | sentences, st.text() | sentences)
def test_words_and_characters_are_counted_as_an_alignment_with_the_fewest_edits(said, heard):
    fewest = Levenshtein.distance(heard.split(), said.split())
    assert word_edits(heard, reference=said) == Edits(fewest, len(said.split()))
    found = jiwer.process_characters(said, heard)
    changed = found.substitutions + found.deletions
    edits = Edits(changed + found.insertions, changed + found.hits)
    assert character_edits(heard, reference=said) == edits


@given(corpora)
def test_corpus_rates_equal_those_of_jiwer(corpus):
    references, hypotheses = (list(side) for side in zip(*corpus, strict=True))
    for count, rate in ((word_edits, jiwer.wer), (character_edits, jiwer.cer)):
        found = [count(hypothesis, reference=reference) for reference, hypothesis in corpus]
        ours = sum(row.edits for row in found) / sum(row.length for row in found)
        assert ours == pytest.approx(rate(references, hypotheses))


def test_apostrophes_go_back_to_their_words():
    assert rejoin_apostrophes("the eu 's budget don 't") == "the eu's budget don't"
    assert rejoin_apostrophes("'s") == "'s"
