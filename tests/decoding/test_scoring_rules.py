"""Models that do not fit, and options out of range, are refused with what to do instead."""

from __future__ import annotations

import numpy as np
import pytest
from beam_reference import CHARACTERS, SYMBOLS, TEXT, WORDS

from slue_ner.core.labels import label_set
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import to_symbols
from slue_ner.text.vocabulary import Vocabulary

LABELS = label_set("combined")
TAGGED_SYMBOLS = Vocabulary.build(["abc"], LABELS).symbols
TAGGED = [*TEXT, ["%", "a", "]"]]
TAGGED_WORDS = train(TAGGED, order=2)[0]
TAGGED_CHARACTERS = train([to_symbols(words) for words in TAGGED], order=2)[0]
OTHER_CHARACTERS = train([to_symbols(["xyz", "uvw"])], order=2)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merge": "mean"}, "merge must be one of sum, max, got 'mean'"),
        (
            {"beam_size": 0},
            "beam_size and num_symbols must lie between 1 and 100000, got 0 and 100",
        ),
        (
            {"num_symbols": 0},
            "beam_size and num_symbols must lie between 1 and 100000, got 100 and 0",
        ),
        (
            {"beam_size": 10**12},
            "beam_size and num_symbols must lie between 1 and 100000, got 10{12} and 100",
        ),
        ({"blank_threshold": 0.0}, r"blank_threshold must lie in \(0, 1\], got 0.0"),
        ({"blank_threshold": 1.5}, r"blank_threshold must lie in \(0, 1\], got 1.5"),
        ({"lm_weight": -0.1}, "lm_weight must be a number of at least 0, got -0.1"),
        ({"lm_weight": float("nan")}, "lm_weight must be a number of at least 0, got nan"),
        ({"beam_threshold": float("inf")}, "beam_threshold must be a number of at least 0"),
        ({"hot_word_boost": -1.0}, "hot_word_boost must be a number of at least 0, got -1.0"),
        ({"word_score": 101.0}, "word_score must lie between -100 and 100, got 101.0"),
        ({"entity_score": -101.0}, "entity_score must lie between -100 and 100, got -101.0"),
        ({"unknown_score": float("nan")}, "unknown_score must lie between -100 and 100, got nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BeamOptions(**options)


@pytest.mark.parametrize(
    ("symbols", "models", "message"),
    [
        (("<blank>", "a", "b"), {}, r"the vocabulary has no '\|', so there are no words to find"),
        (
            SYMBOLS,
            {"words": CHARACTERS},
            "a language model over words is needed and this one is over characters; "
            "train one with `slue-ner lm train --unit words`",
        ),
        (
            SYMBOLS,
            {"words": WORDS, "characters": WORDS},
            "over characters is needed and this one is over words; .*--unit characters",
        ),
        (
            SYMBOLS,
            {"characters": OTHER_CHARACTERS},
            r"most symbols of the language model \(x, y, z, u, v, \.\.\.\) are not in the",
        ),
        (
            TAGGED_SYMBOLS,
            {"labels": LABELS, "words": WORDS},
            "the language model has no ']', so it was trained on plain text, but the vocabulary "
            "has entity marks; train one with `slue-ner lm train --target tagged`",
        ),
        (
            TAGGED_SYMBOLS,
            {"labels": LABELS, "words": TAGGED_WORDS, "characters": CHARACTERS},
            "the language model has no ']'.*--target tagged",
        ),
        (
            SYMBOLS,
            {"words": TAGGED_WORDS},
            "the language model has the entity mark ']', which is not in the vocabulary; "
            "train one with `slue-ner lm train --target plain`",
        ),
        (SYMBOLS, {"characters": TAGGED_CHARACTERS}, "the entity mark ']'.*--target plain"),
        (
            SYMBOLS,
            {"lexicon": ["xyz", "w"]},
            r"the lexicon is empty: .*\(words: 'xyz', 'w'\); is it of another language",
        ),
        (SYMBOLS, {"lexicon": []}, r"the lexicon is empty: .*\(words: none\)"),
        (
            TAGGED_SYMBOLS,
            {"labels": LABELS, "lexicon": ["xyz"]},
            r"the lexicon is empty: .*\(words: 'xyz'\)",
        ),
        (
            SYMBOLS,
            {"hot_words": {"ab xy": 1.0}},
            "hot phrase 'ab xy' is empty or has characters that the model cannot write; "
            "spell it as in the transcripts",
        ),
        (SYMBOLS, {"hot_words": {" ": 1.0}}, "hot phrase ' ' is empty"),
        (SYMBOLS, {"hot_words": {"a|b": 1.0}}, r"hot phrase 'a\|b' is empty or has"),
        (
            SYMBOLS,
            {"hot_words": {"a": 1.0, "a b": -1.0}},
            "hot phrase 'a b' adds -10 nats, which must lie between 0 and 100; "
            "change hot_word_boost or how often it counts",
        ),
        (SYMBOLS, {"hot_words": {"a b": 1000.0}}, "hot phrase 'a b' adds 10000 nats"),
        (SYMBOLS, {"hot_words": {"a": float("nan")}}, "hot phrase 'a' adds nan nats"),
    ],
)
def test_models_that_do_not_fit_the_vocabulary_are_refused(symbols, models, message):
    with pytest.raises(ValueError, match=message):
        Scorer(symbols, BeamOptions(), **models)


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_a_model_with_the_marks_of_raw_labels_is_refused_for_combined_ones(unit):
    text = [[mark, "abc", "]"] for mark in label_set("raw").symbols.values()]
    model = train(map(to_symbols, text) if unit == "characters" else text, order=2)[0]
    message = r"entity marks \* .* of raw labels but the vocabulary has combined ones; .*--labels"
    with pytest.raises(ValueError, match=message):
        Scorer(TAGGED_SYMBOLS, BeamOptions(), labels=LABELS, **{unit: model})


def test_a_model_of_text_with_punctuation_is_taken_for_what_it_is():
    words = train([*TAGGED, ["a", "?"], ["(", "b", ")"]], order=2)[0]
    scorer = Scorer(TAGGED_SYMBOLS, BeamOptions(), labels=LABELS, words=words)
    assert scorer.unspelled == ("?", "(", ")")


def test_words_that_the_symbols_cannot_spell_are_told():
    scorer = Scorer(SYMBOLS, BeamOptions(), lexicon=["ab", "nave", "a|b", "<unk>"])
    assert scorer.unspelled == ("nave", "a|b")
    assert scorer.spell("cab") == [5, 3, 4]
    assert scorer.spell("cad") is None and scorer.spell("") is None


def test_marks_that_the_word_model_never_saw_are_told():
    scorer = Scorer(TAGGED_SYMBOLS, BeamOptions(), labels=LABELS, words=TAGGED_WORDS)
    assert scorer.unseen_marks == ("!", "@", "#", "$", "^", "&")


def test_plain_models_serve_plain_vocabularies_with_a_bracket():
    """``]`` means something only with the marks of a label set."""
    Scorer((*SYMBOLS, "]"), BeamOptions(), words=WORDS, characters=CHARACTERS)


@pytest.mark.parametrize("shape", [(4, 5), (4, 7), (6,), (1, 4, 6)])
def test_emissions_over_other_symbols_are_refused(shape):
    search = BeamDecoder(Scorer(SYMBOLS, BeamOptions()))
    with pytest.raises(ValueError, match="but the vocabulary has 6 symbols; they belong to diff"):
        search.decode(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1000.0])
def test_emissions_that_are_no_log_probabilities_are_refused(value):
    log_probs = np.log(np.full((3, 6), 1 / 6))
    log_probs[1, 2] = value
    search = BeamDecoder(Scorer(SYMBOLS, BeamOptions()))
    with pytest.raises(ValueError, match="emissions hold NaN or infinity; the model that made"):
        search.decode(log_probs)
