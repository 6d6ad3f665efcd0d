from __future__ import annotations

import pytest
import torch

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.data.loading.text_batch import (
    IGNORED,
    Sentence,
    SentenceDataset,
    collate_text,
    sentence_of,
    text_loader,
    text_pass,
)
from slue_ner.text.windows import windows

TAGS = ("O", "B-GPE", "I-GPE", "B-FAC", "I-FAC")
PADDING = {"lengths": 0}


def utterance(text: str, *entities: tuple[str, int, int]) -> Utterance:
    return Utterance(
        id="one",
        split="fine-tune",
        audio=None,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        entities=tuple(
            EntitySpan(label, text[start:end], start_char=start, end_char=end)
            for label, start, end in entities
        ),
    )


def encode(words):
    """Windows of three words; the feature of a word is its length."""
    return [
        (window, {"lengths": [len(word) for word in words[window.first : window.last]]})
        for window in windows([1] * len(words), limit=3)
    ]


@pytest.fixture
def dataset():
    def build(*texts: str, noise: float = 0.0) -> SentenceDataset:
        sentences = [Sentence(str(i), tuple(text.split())) for i, text in enumerate(texts)]
        return SentenceDataset(sentences, encode=encode, tags=TAGS, noise=noise)

    return build


def test_characters_become_word_ranges():
    text = "in new york and rome"
    sentence = sentence_of(utterance(text, ("GPE", 3, 11), ("GPE", 16, 20)), RAW)
    assert sentence.words == ("in", "new", "york", "and", "rome")
    assert [entity.words for entity in sentence.entities] == [(1, 3), (4, 5)]


def test_labels_are_converted_and_dropped_ones_become_plain_words():
    sentence = sentence_of(utterance("the tower in rome", ("FAC", 0, 9), ("GPE", 13, 17)), COMBINED)
    assert [(e.label, e.words) for e in sentence.entities] == [("PLACE", (3, 4))]


def test_an_utterance_without_text_has_no_words():
    assert sentence_of(utterance(""), RAW).words == ()


def test_every_tag_is_asked_for_once_even_where_windows_overlap():
    words = tuple(["in", "new", "york", "and", "then", "in", "rome"])
    entities = (EntitySpan("GPE", None, words=(1, 3)), EntitySpan("GPE", None, words=(6, 7)))
    dataset = SentenceDataset([Sentence("one", words, entities)], encode=encode, tags=TAGS)
    rows = dataset[0]
    asked = {}
    for _, window, _, tags in rows:
        for word, tag in zip(range(window.first, window.last), tags, strict=True):
            if tag != IGNORED:
                assert word not in asked
                asked[word] = TAGS[tag]
    assert [asked[i] for i in range(7)] == ["O", "B-GPE", "I-GPE", "O", "O", "O", "B-GPE"]


def test_windows_are_padded_into_one_batch(dataset):
    made = dataset("a bb ccc", "dddd")
    batch = collate_text([made[0], made[1]], padding=PADDING)
    assert batch.ids == ("0", "1") and len(batch) == 2
    assert batch.inputs["lengths"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch.tags.tolist() == [[0, 0, 0], [0, IGNORED, IGNORED]]


def test_rows_of_rows_are_padded_in_both_directions():
    window = windows([1, 1], limit=2)[0]
    rows = [("0", window, {"letters": [[1, 2, 3], [4]]}, [0, 0])]
    rows += [("1", windows([1], limit=1)[0], {"letters": [[5, 6]]}, [0])]
    batch = collate_text([rows], padding={"letters": 9})
    assert batch.inputs["letters"].tolist() == [
        [[1, 2, 3], [4, 9, 9]],
        [[5, 6, 9], [9, 9, 9]],
    ]


def test_one_pass_reads_every_sentence_once_longest_first(dataset):
    loader = text_pass(dataset("a", "a b c", "a b"), padding=PADDING, batch_size=2)
    assert [batch.ids for batch in loader] == [("1", "2"), ("0",)]


@pytest.mark.parametrize("num_sentences", [2, 5, 7])
def test_ranks_share_a_pass_and_none_goes_without(dataset, num_sentences):
    made = dataset(*["a b"] * num_sentences)
    ids = [
        [
            id
            for batch in text_pass(made, padding=PADDING, batch_size=16, rank=rank, num_ranks=2)
            for id in batch.ids
        ]
        for rank in (0, 1)
    ]
    assert all(ids)
    assert sorted(ids[0] + ids[1]) == [str(i) for i in range(num_sentences)]


def first_batches(made, count, **options):
    loader = iter(text_loader(made, padding=PADDING, batch_size=2, seed=3, **options))
    batches = [next(loader) for _ in range(count)]
    return [(batch.ids, batch.inputs["lengths"].tolist()) for batch in batches]


def test_batches_have_the_asked_for_size_and_every_epoch_holds_every_sentence(dataset):
    made = dataset(*["a b c"] * 6)
    ids = [ids for ids, _ in first_batches(made, 6)]
    assert all(len(of_batch) == 2 for of_batch in ids)
    for epoch in (ids[:3], ids[3:]):
        assert sorted(id for of_batch in epoch for id in of_batch) == list("012345")


def test_a_stream_can_be_entered_anywhere_with_the_same_noise(dataset):
    made = dataset(*["european union"] * 7, noise=0.3)
    whole = first_batches(made, 9)
    assert first_batches(made, 4, start=5) == whole[5:]
    assert len({str(lengths) for _, lengths in whole}) > 3  # another noise each time


def test_only_training_is_noisy(dataset):
    made = dataset("european union", noise=0.9)
    batch = next(iter(text_pass(made, padding=PADDING, batch_size=2)))
    assert batch.inputs["lengths"].tolist() == [[8, 5]]
    assert torch.equal(batch.tags, torch.tensor([[0, 0]]))
