"""Sentences with entities as tensors: windows of words, their features and their tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from slue_ner.core.labels import LabelSet
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.data.loading.buckets import BucketStream, SeededStream
from slue_ner.text.bio import to_bio
from slue_ner.text.noise import spoil
from slue_ner.text.windows import Window

IGNORED = -100
"""Stands where no tag is asked for, as in torch's cross-entropy."""

Features = Mapping[str, Sequence[Any]]
"""What a model reads of a window, by name: numbers, or rows of numbers of any length."""

Encode = Callable[[Sequence[str]], list[tuple[Window, Features]]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and their entities, which have ``words`` as ranges of them and do not overlap."""

    id: str
    words: tuple[str, ...]
    entities: tuple[EntitySpan, ...] = ()


def sentence_of(utterance: Utterance, labels: LabelSet) -> Sentence:
    """The words of an utterance's ``text`` with its entities in the terms of ``labels``.

    Entities whose label the set drops become plain words.
    """
    text = utterance.text
    entities: list[EntitySpan] = []
    for entity in utterance.entities:
        assert entity.label is not None
        label = labels.convert(entity.label)
        if label is not None:
            place = len(text[: entity.start_char].split()), len(text[: entity.end_char].split())
            entities.append(EntitySpan(label, entity.phrase, words=place))
    return Sentence(utterance.id, tuple(text.split()), tuple(entities))


@dataclass(frozen=True)
class TextBatch:
    """Windows of sentences on their way to a tagger.

    Attributes:
        ids: sentence of each window, ``B`` of them; a long sentence has several.
        windows: the words of each window.
        inputs: what the tagger reads, each ``(B, ...)`` and padded.
        tags: ids of the tags, ``(B, W)``; ``IGNORED`` for padding and for words that belong to
            another window.
    """

    ids: tuple[str, ...]
    windows: tuple[Window, ...]
    inputs: Mapping[str, Tensor]
    tags: Tensor

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> TextBatch:
        """The batch with its tensors on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TextBatch:
        """The batch in page-locked memory, for faster copies to a GPU."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> TextBatch:
        inputs = {name: change(tensor) for name, tensor in self.inputs.items()}
        return replace(self, inputs=inputs, tags=change(self.tags))


Row = tuple[str, Window, Features, list[int]]
"""Id of the sentence, a window of it, its features, and the tags of its words."""


class SentenceDataset(Dataset[list[Row]]):
    """Sentences as windows with features and tags, made when they are asked for.

    Args:
        sentences: what to read; none may be without words.
        encode: windows and features of some words.
        tags: the tags in the order of their ids; a tag that is not among them is an error.
        noise: as in ``text.noise``, for an index that comes with a seed.
    """

    def __init__(
        self,
        sentences: Sequence[Sentence],
        *,
        encode: Encode,
        tags: Sequence[str],
        noise: float = 0.0,
    ) -> None:
        self.sentences = sentences
        self.encode = encode
        self.tag_ids = {tag: index for index, tag in enumerate(tags)}
        self.noise = noise

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self.sentences)

    def __getitem__(self, key: int | tuple[int, Sequence[int]]) -> list[Row]:
        """The windows of one sentence.

        Args:
            key: its index, or index and seed of its noise.
        """
        index, seed = (key, None) if isinstance(key, int) else key
        sentence = self.sentences[index]
        words: Sequence[str] = sentence.words
        entities = sentence.entities
        if self.noise and seed is not None:
            random = np.random.default_rng(seed)
            words, entities = spoil(words, entities, noise=self.noise, random=random)
        tags = [self.tag_ids[tag] for tag in to_bio(len(words), entities)]
        rows: list[Row] = []
        for window, features in self.encode(words):
            here = [IGNORED] * (window.last - window.first)
            for word in window.owned:
                here[word - window.first] = tags[word]
            rows.append((sentence.id, window, features, here))
        return rows


def collate_text(examples: Sequence[Sequence[Row]], *, padding: Mapping[str, int]) -> TextBatch:
    """All windows of some sentences as one batch.

    Args:
        examples: of a ``SentenceDataset``.
        padding: what fills up each feature.
    """
    rows = [row for example in examples for row in example]
    return TextBatch(
        ids=tuple(row[0] for row in rows),
        windows=tuple(row[1] for row in rows),
        inputs={name: _pad([row[2][name] for row in rows], fill) for name, fill in padding.items()},
        tags=_pad([row[3] for row in rows], IGNORED),
    )


def text_loader(
    dataset: SentenceDataset,
    *,
    padding: Mapping[str, int],
    batch_size: int,
    seed: int,
    start: int = 0,
    rank: int = 0,
    num_ranks: int = 1,
) -> DataLoader[Any]:
    """Batches of ``batch_size`` sentences drawn anew every epoch, without end.

    Args:
        dataset: what to train on.
        padding: as in ``collate_text``.
        batch_size: sentences a batch.
        seed: of order and noise.
        start: batches of this rank already seen.
        rank: of this process.
        num_ranks: processes.
    """
    stream = BucketStream(
        durations=[1.0] * len(dataset),
        batch_seconds=float(batch_size),
        seed=seed,
        start=start,
        rank=rank,
        num_ranks=num_ranks,
    )
    return _loader(dataset, SeededStream(stream), padding)


def text_pass(
    dataset: SentenceDataset,
    *,
    padding: Mapping[str, int],
    batch_size: int,
    rank: int = 0,
    num_ranks: int = 1,
) -> DataLoader[Any]:
    """Every sentence once, longest first; arguments as for ``text_loader``."""
    order = sorted(range(len(dataset)), key=lambda i: -len(dataset.sentences[i].words))
    size = min(batch_size, max(1, len(order) // num_ranks))  # none may go without
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return _loader(dataset, batches[rank::num_ranks], padding)


def _loader(dataset: SentenceDataset, batches: Any, padding: Mapping[str, int]) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=lambda examples: collate_text(examples, padding=padding),
        pin_memory=torch.cuda.is_available(),
    )


def _pad(rows: Sequence[Any], fill: int) -> Tensor:
    """Rows of numbers, ``(B, W)``, or of rows of numbers, ``(B, W, C)``."""
    longest = max((len(row) for row in rows), default=0)
    deep = [len(item) for row in rows for item in row if isinstance(item, list | tuple)]
    shape = (len(rows), longest, max(deep)) if deep else (len(rows), longest)
    padded = np.full(shape, fill, dtype=np.int64)
    for place, row in zip(padded, rows, strict=True):
        if deep:
            for inner, item in zip(place, row, strict=False):
                inner[: len(item)] = item
        else:
            place[: len(row)] = row
    return torch.from_numpy(padded)
