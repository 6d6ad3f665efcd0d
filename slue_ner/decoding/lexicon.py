"""The words that a search may write, as a tree of their symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROOT = 0


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A tree of ``N`` nodes whose root is node 0; nodes of a depth, and of a parent, are together.

    Attributes:
        symbol: symbol that leads to each node, ``(N,)`` int32; -1 for the root.
        first_child: children of node ``n`` are ``first_child[n]`` up to, without,
            ``first_child[n + 1]``; ``(N + 1,)`` int32.
        word: index of the word that ends at each node, ``(N,)`` int32; -1 where none does.
        parent: ``(N,)`` int32; -1 for the root.
        levels: first node of each depth, and ``N``.
    """

    symbol: np.ndarray
    first_child: np.ndarray
    word: np.ndarray
    parent: np.ndarray
    levels: tuple[int, ...]

    def best_below(self, values: np.ndarray) -> np.ndarray:
        """The greatest value of the words at or below each node, ``(N,)`` float64.

        Args:
            values: of each word, by index.
        """
        best = np.full(len(self.symbol), -np.inf)
        ends = self.word >= 0
        best[ends] = values[self.word[ends]]
        for first, last in reversed(list(zip(self.levels[1:], self.levels[2:], strict=False))):
            np.maximum.at(best, self.parent[first:last], best[first:last])
        return best


def build_lexicon(spellings: Sequence[Sequence[int]]) -> Lexicon:
    """Put words into a tree.

    Args:
        spellings: symbol ids of each word, at least one; no two words are spelled alike.
    """
    lengths = np.array([len(spelling) for spelling in spellings])
    assert len(lengths) and lengths.min() > 0
    letters = np.full((len(lengths), int(lengths.max()) + 1), -1, np.int32)
    letters[np.arange(letters.shape[1]) < lengths[:, None]] = np.concatenate(
        [np.asarray(spelling, np.int32) for spelling in spellings]
    )
    order = np.lexsort(letters.T[::-1])
    letters, lengths = letters[order], lengths[order]
    at = np.zeros(len(order), np.int64)  # node of each word at the current depth
    symbols, parents, words = [np.array([-1])], [np.array([-1])], [np.array([-1])]
    levels = [0, 1]
    for depth in range(int(lengths.max())):
        rows = np.flatnonzero(lengths > depth)
        changed = np.diff(at[rows], prepend=-1) != 0
        changed |= np.diff(letters[rows, depth], prepend=-1) != 0
        new = rows[changed]
        symbols.append(letters[new, depth])
        parents.append(at[new])
        at[rows] = levels[-1] + np.cumsum(changed) - 1
        level = np.full(len(new), -1)
        ending = rows[lengths[rows] == depth + 1]
        level[at[ending] - levels[-1]] = order[ending]
        words.append(level)
        levels.append(levels[-1] + len(new))
    parent = np.concatenate(parents)
    return Lexicon(
        symbol=np.concatenate(symbols).astype(np.int32),
        first_child=np.searchsorted(parent, np.arange(levels[-1] + 1)).astype(np.int32),
        word=np.concatenate(words).astype(np.int32),
        parent=parent.astype(np.int32),
        levels=tuple(levels),
    )
