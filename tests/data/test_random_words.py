from __future__ import annotations

import sys

import pytest

pytest.importorskip("wordfreq", reason="the [synth] extra is not installed")
pytest.importorskip("espeakng_loader", reason="the [synth] extra is not installed")

from wordfreq import get_frequency_dict

from slue_ner.core.records import read_manifest
from slue_ner.data.synthesis.corpus import SyntheticOptions, prepare_synthetic
from slue_ner.data.synthesis.random_words import LENGTHS, NUM_WORDS, write_random_sentences
from slue_ner.data.synthesis.voices import HELD_OUT_VARIANTS, draw_voices

SEVERAL = {"fine-tune": 100, "tune": 20, "dev": 20}


def texts(sentences) -> list[str]:
    return [sentence.text for sentence in sentences]


def test_one_seed_gives_one_set_of_sentences():
    one, same, other = (write_random_sentences(SEVERAL, seed=seed) for seed in (0, 0, 1))
    assert one == same
    for split in SEVERAL:
        assert set(texts(one[split])).isdisjoint(texts(other[split]))


def test_every_split_has_as_many_sentences_as_asked_for_and_its_own():
    written = write_random_sentences(SEVERAL, seed=0)
    assert {split: len(sentences) for split, sentences in written.items()} == SEVERAL
    different = {text for sentences in written.values() for text in texts(sentences)}
    assert len(different) == 140


def test_a_split_does_not_depend_on_how_much_others_ask_for():
    small = write_random_sentences({"fine-tune": 5, "dev": 10}, seed=0)
    large = write_random_sentences({"fine-tune": 20, "dev": 20}, seed=0)
    assert large["dev"][:10] == small["dev"]


def test_words_are_frequent_english_words_of_plain_letters():
    sentences = write_random_sentences(SEVERAL, seed=0)["fine-tune"]
    words = {word for sentence in sentences for word in sentence.text.split(" ")}
    frequencies = get_frequency_dict("en")
    assert words <= frequencies.keys()
    assert all(word.replace("'", "").isalpha() and word.isascii() for word in words)
    more_frequent = sorted(frequencies.values(), reverse=True)
    # names with digits or accents are passed over, so the rarest is a little beyond 20,000
    assert min(frequencies[word] for word in words) >= more_frequent[NUM_WORDS + 5_000]


def test_frequent_words_are_said_more_often_but_not_as_often_as_in_english():
    sentences = write_random_sentences({"fine-tune": 600}, seed=0)["fine-tune"]
    said = [word for sentence in sentences for word in sentence.text.split(" ")]
    share = said.count("the") / len(said)
    # English has 5 % of "the"; even chances would be 0.005 %
    assert 0.001 < share < 0.02


def test_sentences_have_two_to_fourteen_words_and_no_entities():
    sentences = write_random_sentences(SEVERAL, seed=0)["fine-tune"]
    assert {len(text.split(" ")) for text in texts(sentences)} == set(range(2, 15))
    assert (LENGTHS[0], LENGTHS[1]) == (2, 14)
    assert not any(sentence.spans for sentence in sentences)


@pytest.mark.parametrize("max_words", [2, 3, 20])
def test_no_sentence_is_longer_than_asked_for(max_words):
    written = write_random_sentences({"fine-tune": 100}, seed=0, max_words=max_words)
    sentences = written["fine-tune"]
    assert {len(text.split(" ")) for text in texts(sentences)} == set(range(2, max_words + 1))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six utterances of random words."""
    out = tmp_path_factory.mktemp("words")
    options = SyntheticOptions(
        preset="words",
        num_fine_tune=3,
        num_tune=1,
        num_dev=1,
        num_test=1,
        num_voices=4,
        max_words=4,
        num_workers=1,
    )
    prepare_synthetic(out, options)
    return out


def test_random_words_are_spoken_with_times_of_words_and_phones(corpus):
    for split, count in (("fine-tune", 3), ("tune", 1), ("dev", 1), ("test", 1)):
        utterances = read_manifest(corpus / f"{split}.jsonl")
        assert len(utterances) == count
        for utterance in utterances:
            assert utterance.entities == ()
            assert 2 <= len(utterance.raw_text.split(" ")) <= 4
            assert " ".join(word.text for word in utterance.words) == utterance.text
            assert utterance.phones
            assert utterance.audio.is_file()


def test_a_corpus_says_what_the_word_list_wrote(corpus):
    numbers = {"fine-tune": 3, "tune": 1, "dev": 1, "test": 1}
    written = write_random_sentences(numbers, seed=0, max_words=4)
    for split in numbers:
        said = [u.raw_text for u in read_manifest(corpus / f"{split}.jsonl")]
        assert said == texts(written[split])


def test_voices_of_dev_and_test_are_never_trained_on(corpus):
    shares = {"fine-tune": 1, "tune": 1, "dev": 1, "test": 1}
    voices = {v.id: v for drawn in draw_voices(shares, seed=0).values() for v in drawn}
    for split in shares:
        (utterance, *_) = read_manifest(corpus / f"{split}.jsonl")
        held_out = voices[utterance.speaker].variant in HELD_OUT_VARIANTS
        assert held_out == (split in ("dev", "test"))


def test_without_the_word_list_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(ValueError, match=r"preset words needs .* `pip install slue-ner\[synth\]`"):
        write_random_sentences({"dev": 1}, seed=0)
