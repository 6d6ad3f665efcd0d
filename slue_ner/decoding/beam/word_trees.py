"""The words that a search may write, as a tree of their symbols, and the phrases it favours.

The latter are an Aho-Corasick automaton over symbols (CACM 18(6), 1975).
"""

from __future__ import annotations

from collections import deque
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


@dataclass(frozen=True, eq=False)
class HotWords:
    """An automaton of ``H`` states that finds phrases in a sequence of symbols.

    A path from state to state collects the ``gain`` of each that it enters from another one: the
    boosts of the phrases that it has seen whole. A delimiter after a delimiter leaves the state as
    it is. While it stands in a state, a search adds ``pending``, a part of the boost of a phrase
    that has begun, so that it does not drop it early.

    Attributes:
        next: state after each symbol, ``(H, V)`` int32.
        gain: boosts of the phrases that end on entering each state, ``(H,)``.
        pending: part of the boost of a phrase under way, ``(H,)``.
        start: state before the first symbol, which is as after a delimiter.
    """

    next: np.ndarray
    gain: np.ndarray
    pending: np.ndarray
    start: int


def build_hot_words(
    phrases: Sequence[Sequence[Sequence[int]]],
    boosts: Sequence[float],
    *,
    delimiter: int,
    num_symbols: int,
) -> HotWords:
    """Build the automaton.

    Args:
        phrases: of each, the symbol ids of its words.
        boosts: of each phrase, in nats, at least 0.
        delimiter: symbol between words; a phrase is found as whole words only.
        num_symbols: ``V``.
    """
    children: list[dict[int, int]] = [{}]
    gain, pending = [0.0], [0.0]
    for phrase, boost in zip(phrases, boosts, strict=True):
        symbols = [delimiter, *(s for word in phrase for s in (*word, delimiter))]
        state = 0
        for depth, symbol in enumerate(symbols):
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                gain.append(0.0)
                pending.append(0.0)
            state = children[state][symbol]
            if depth < len(symbols) - 1:
                pending[state] = max(pending[state], boost * depth / (len(symbols) - 1))
        gain[state] += boost
    following = np.zeros((len(children), num_symbols), np.int32)
    shorter = [0] * len(children)  # state of the longest proper end that is a state
    of_delimiter: list[int] = []
    queue = deque([0])
    while queue:
        state = queue.popleft()
        if state:
            following[state] = following[shorter[state]]
            gain[state] += gain[shorter[state]]
        for symbol, child in children[state].items():
            shorter[child] = int(following[state, symbol])
            following[state, symbol] = child
            if symbol == delimiter:
                of_delimiter.append(child)
            queue.append(child)
    following[of_delimiter, delimiter] = of_delimiter
    start = int(following[0, delimiter])
    return HotWords(following, np.array(gain), np.array(pending), start)
