"""A back-off n-gram language model as one array-backed tree, for queries in compiled code.

A node is an n-gram, its children are the n-grams that go on with one more word, and node 0 is the
empty one. Nodes stand in order of length, then of parent, then of word, so that the children of a
node are neighbours and every array is one block of memory, which a file can be mapped onto.

    score(w | h) = log_prob[h w]                      where the model has h w
                 = back_off[h] + score(w | h[1:])     else

A state is the node of the longest part of the words so far that can matter for the next one.
Logarithms are to base 10, as in ARPA files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from slue_ner.text.markup import DELIMITER

UNKNOWN_WORD = "<unk>"
START_WORD = "<s>"
END_WORD = "</s>"

UNKNOWN_ID, START_ID, END_ID = 0, 1, 2
"""Of every model; words follow."""

ROOT = 0


@dataclass(frozen=True, eq=False)
class NgramModel:
    """A back-off model of ``N`` nodes: the root, its ``W`` words, and longer n-grams.

    Attributes:
        order: length of its longest n-grams.
        words: ``W`` of them, by id; unknown, start and end come first.
        word: last word of each node's n-gram, ``(N,)`` int32; -1 for the root.
        log_prob: of that word after the others, ``(N,)`` float32, base 10.
        back_off: added when a word is looked up after a shorter context, ``(N,)`` float32.
        suffix: node of the n-gram without its first word, or of the longest end of it that the
            model has, ``(N,)`` int32.
        first_child: children of node ``n`` are ``first_child[n]`` up to, without,
            ``first_child[n + 1]``; ``(N + 1,)`` int32.
        labels: name of the label set of its entity marks; ``None`` where it has none, or where
            that is not known (``ngram_labels`` may tell).
    """

    order: int
    words: tuple[str, ...]
    word: np.ndarray
    log_prob: np.ndarray
    back_off: np.ndarray
    suffix: np.ndarray
    first_child: np.ndarray
    labels: str | None = None

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each word."""
        return {word: id for id, word in enumerate(self.words)}

    @cached_property
    def of_characters(self) -> bool:
        """Whether its words are characters, with a delimiter between real words."""
        words = self.words[END_ID + 1 :]
        return DELIMITER in self.ids and all(len(word) == 1 for word in words)

    @property
    def counts(self) -> tuple[int, ...]:
        """N-grams of each length, from 1 to ``order``."""
        return tuple(last - first for first, last in self.levels)

    @cached_property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Nodes ``[first, last)`` of each length, from 1 to ``order``."""
        levels = [(1, 1 + len(self.words))]
        while len(levels) < self.order:
            first, last = levels[-1]
            levels.append((int(self.first_child[first]), int(self.first_child[last])))
        return tuple(levels)

    @property
    def start(self) -> int:
        """The state at the start of a sentence."""
        return 1 + START_ID

    def encode(self, words: Sequence[str]) -> np.ndarray:
        """Ids of words, ``(n,)`` int32; that of ``<unk>`` for those the model does not know."""
        return np.array([self.ids.get(word, UNKNOWN_ID) for word in words], np.int32)

    def score(self, words: Sequence[str]) -> np.ndarray:
        """Log10 probability of each word of a sentence and of its end, ``(n + 1,)`` float64."""
        from slue_ner.decoding.lm.ngram_kernel import score

        scores: np.ndarray = score(
            self.start,
            np.append(self.encode(words), np.int32(END_ID)),
            *(self.word, self.log_prob, self.back_off, self.suffix, self.first_child),
        )
        return scores


def build(
    words: Sequence[str], levels: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> NgramModel:
    """Put the n-grams of each length into a tree.

    Args:
        words: by id.
        levels: for each length ``n`` from 1, n-grams as ids ``(count, n)`` int32, each once, and
            their log-probabilities and back-off weights ``(count,)``. All words are among the
            first; of every other n-gram the first ``n - 1`` words are an n-gram of the level
            before.

    Raises:
        ValueError: giving as ``(n, index)`` an n-gram without its beginning, or one that is
            there twice.
    """
    num_nodes = 1 + sum(len(grams) for grams, _, _ in levels)
    word = np.full(num_nodes, -1, np.int32)
    log_prob, back_off = np.zeros((2, num_nodes), np.float32)
    suffix = np.zeros(num_nodes, np.int32)
    first_child = np.full(num_nodes + 1, num_nodes, np.int32)
    tree = _Tree(len(words))
    parents_of_level, first = range(1), 1
    for length, (grams, probs, weights) in enumerate(levels, start=1):
        parents = tree.find(grams[:, :-1])
        if (parents < 0).any():
            raise ValueError((length, int(np.argmax(parents < 0))))
        order = np.lexsort((grams[:, -1], parents))
        if twice := tree.add(parents[order], grams[order, -1]):
            raise ValueError((length, int(order[twice])))
        nodes = slice(first, first + len(grams))
        word[nodes] = grams[order, -1]
        log_prob[nodes] = probs[order]
        back_off[nodes] = weights[order]
        suffix[nodes] = tree.longest_ends(grams[order])
        places = np.searchsorted(parents[order], parents_of_level)
        first_child[parents_of_level.start : parents_of_level.stop] = first + places
        parents_of_level, first = range(nodes.start, nodes.stop), nodes.stop
    return NgramModel(len(levels), tuple(words), word, log_prob, back_off, suffix, first_child)


class _Tree:
    """Finds the nodes of n-grams while levels are added."""

    def __init__(self, num_words: int) -> None:
        self._num_words = num_words
        self._first = [1]  # node of each level
        self._keys: list[np.ndarray] = []

    def add(self, parents: np.ndarray, ids: np.ndarray) -> int:
        """Add a level, sorted by parent and word; the place of a node that is there twice, or 0."""
        keys = self._key(parents, ids)
        self._keys.append(keys)
        self._first.append(self._first[-1] + len(keys))
        twice = np.flatnonzero(np.diff(keys) == 0)
        return int(twice[0]) + 1 if len(twice) else 0

    def find(self, grams: np.ndarray) -> np.ndarray:
        """Nodes of n-grams ``(count, n)``; -1 for those that are not there."""
        nodes = np.zeros(len(grams), np.int64)
        for first, keys, ids in zip(self._first, self._keys, grams.T, strict=False):
            if not len(keys):  # a length of which a file has no n-gram
                return np.full(len(grams), -1)
            sought = self._key(nodes, ids)
            places = np.searchsorted(keys, sought)
            there = (nodes >= 0) & (keys[np.minimum(places, len(keys) - 1)] == sought)
            nodes = np.where(there, first + places, -1)
        return nodes

    def longest_ends(self, grams: np.ndarray) -> np.ndarray:
        """Nodes of the longest ends of n-grams ``(count, n)`` that are shorter than they are."""
        found = np.zeros(len(grams), np.int64)
        left = np.arange(len(grams))
        for start in range(1, grams.shape[1]):
            nodes = self.find(grams[left, start:])
            found[left[nodes >= 0]] = nodes[nodes >= 0]
            left = left[nodes < 0]
        return found

    def _key(self, parents: np.ndarray, ids: np.ndarray) -> np.ndarray:
        keys: np.ndarray = parents.astype(np.int64) * self._num_words + ids
        return keys
