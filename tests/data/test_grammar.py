"""Sentences of the synthetic corpus and what they promise."""

from collections import Counter
from dataclasses import replace

import pytest

from slue_ner.core.labels import COMBINED, RAW_TO_COMBINED
from slue_ner.data.synthesis.grammar import (
    Sentence,
    check_unseen,
    entity_phrase,
    load_lexicon,
    write_sentences,
)
from slue_ner.text.normalize import ner_form

COUNTS = {"fine-tune": 1_500, "tune": 100, "dev": 150, "test": 200}


@pytest.fixture(scope="module", params=["easy", "wide"])
def written(request: pytest.FixtureRequest) -> dict[str, list[Sentence]]:
    return write_sentences(COUNTS, preset=request.param, seed=5)


@pytest.fixture(scope="module")
def easy() -> dict[str, list[Sentence]]:
    return write_sentences(COUNTS, preset="easy", seed=5)


def words_of(sentences: list[Sentence]) -> list[list[str]]:
    return [ner_form(sentence.text, sentence.spans)[0].split(" ") for sentence in sentences]


def phrases_of(sentences: list[Sentence]) -> list[tuple[str, str]]:
    return [(label, s.text[at : at + length]) for s in sentences for label, at, length in s.spans]


def test_every_split_has_what_was_asked_for(written: dict[str, list[Sentence]]) -> None:
    assert {split: len(sentences) for split, sentences in written.items()} == COUNTS


def test_no_sentence_occurs_twice_in_any_split(written: dict[str, list[Sentence]]) -> None:
    texts = [sentence.text for sentences in written.values() for sentence in sentences]

    assert len(set(texts)) == len(texts)


def test_all_seven_combined_types_occur_in_every_split(written: dict[str, list[Sentence]]) -> None:
    for sentences in written.values():
        labels = {RAW_TO_COMBINED[label] for label, _ in phrases_of(sentences)}
        assert labels >= set(COMBINED.labels)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_three_tenths_of_the_entities_are_names_training_never_says(
    written: dict[str, list[Sentence]], split: str
) -> None:
    training = [f" {' '.join(w)} " for w in words_of(written["fine-tune"] + written["tune"])]
    everything = "|".join(training)
    entities = phrases_of(written[split])

    unseen = [
        phrase
        for label, phrase in entities
        if RAW_TO_COMBINED[label] in ("PERSON", "PLACE", "ORG", "LAW")
        and f" {phrase} " not in everything
    ]

    assert len(unseen) >= 0.3 * len(entities)


def test_unseen_names_are_of_all_four_kinds(easy: dict[str, list[Sentence]]) -> None:
    known = {phrase for _, phrase in phrases_of(easy["fine-tune"] + easy["tune"])}

    unseen = Counter(
        RAW_TO_COMBINED[label] for label, phrase in phrases_of(easy["test"]) if phrase not in known
    )

    assert min(unseen[label] for label in ("PERSON", "PLACE", "ORG", "LAW")) >= 5


def test_the_promise_holds_for_small_splits_too() -> None:
    for seed in range(20):
        write_sentences({"fine-tune": 50, "dev": 3, "test": 5}, seed=seed)


def test_easy_sentences_are_short_and_their_vocabulary_compact(
    easy: dict[str, list[Sentence]],
) -> None:
    words = words_of([sentence for sentences in easy.values() for sentence in sentences])

    assert 100 <= len({word for sentence in words for word in sentence}) <= 200
    assert all(3 <= len(sentence) <= 9 for sentence in words)


def test_easy_test_sentences_are_spelled_with_words_of_training(
    easy: dict[str, list[Sentence]],
) -> None:
    known = {word for sentence in words_of(easy["fine-tune"]) for word in sentence}
    said = {word for sentence in words_of(easy["test"]) for word in sentence}

    assert said <= known


def test_wide_sentences_hold_names_made_of_new_words() -> None:
    written = write_sentences({"fine-tune": 1_500, "test": 200}, preset="wide")

    known = {word for sentence in words_of(written["fine-tune"]) for word in sentence}
    said = {word for sentence in words_of(written["test"]) for word in sentence}
    assert len(said - known) > 50


def test_about_a_quarter_of_the_training_sentences_hold_no_entity(
    written: dict[str, list[Sentence]],
) -> None:
    empty = sum(not sentence.spans for sentence in written["fine-tune"])

    assert 0.18 <= empty / COUNTS["fine-tune"] <= 0.33
    assert max(len(sentence.spans) for sentence in written["fine-tune"]) == 3


def test_spans_are_whole_words_of_the_ner_form(written: dict[str, list[Sentence]]) -> None:
    for sentence in written["fine-tune"]:
        text, entities = ner_form(sentence.text, sentence.spans)
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz' ")
        for entity in entities:
            assert f" {entity.phrase} " in f" {text} "
            assert not entity.phrase.startswith("the ") or entity.label in (
                *("DATE", "TIME", "PRODUCT", "WORK_OF_ART"),
            )


def test_a_determiner_stays_outside_the_entity() -> None:
    assert entity_phrase("the [energy committee]") == "energy committee"
    assert entity_phrase("anna weber") == "anna weber"


def test_the_same_seed_writes_the_same_and_another_seed_something_else() -> None:
    counts = {"fine-tune": 40, "test": 10}

    assert write_sentences(counts, seed=1) == write_sentences(counts, seed=1)
    assert write_sentences(counts, seed=1) != write_sentences(counts, seed=2)


def test_more_training_data_leaves_the_test_split_as_it_is() -> None:
    small = write_sentences({"fine-tune": 20, "test": 30}, seed=1)
    large = write_sentences({"fine-tune": 200, "test": 30}, seed=1)

    assert small["test"] == large["test"]


def test_max_words_is_kept_and_an_impossible_one_is_explained() -> None:
    written = write_sentences({"fine-tune": 100}, max_words=5)

    assert max(len(words) for words in words_of(written["fine-tune"])) == 5
    with pytest.raises(ValueError, match="max_words should be at least 3, got 2"):
        write_sentences({"fine-tune": 1}, max_words=2)
    with pytest.raises(ValueError, match="cannot make 9 different sentences of 3 to 3 words"):
        write_sentences({"fine-tune": 9}, max_words=3)


def test_an_unknown_preset_gets_the_nearest_known_one() -> None:
    with pytest.raises(ValueError, match="unknown preset 'easyy'; did you mean 'easy'"):
        load_lexicon("easyy", seed=0)


def test_a_repeated_training_sentence_in_test_is_caught(easy: dict[str, list[Sentence]]) -> None:
    with pytest.raises(ValueError, match="split test repeats a training sentence"):
        check_unseen({**easy, "test": [*easy["test"], easy["fine-tune"][0]]})


def test_too_few_unseen_names_are_caught(easy: dict[str, list[Sentence]]) -> None:
    copied = [replace(s, text="oh " + s.text, spans=shifted(s, 3)) for s in easy["fine-tune"]]

    with pytest.raises(ValueError, match=r"split dev: 0 of \d+ entities are names unseen"):
        check_unseen({**easy, "dev": copied})


def shifted(sentence: Sentence, by: int) -> tuple[tuple[str, int, int], ...]:
    return tuple((label, start + by, length) for label, start, length in sentence.spans)
