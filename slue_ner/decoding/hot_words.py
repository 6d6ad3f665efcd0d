"""Phrases that a search favours: an Aho-Corasick automaton over symbols (CACM 18(6), 1975)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class HotWords:
    """An automaton of ``H`` states that finds phrases in a sequence of symbols.

    A path from state to state collects the ``gain`` of each that it enters from another one: the
    boosts of the phrases that it has seen whole. A delimiter after a delimiter leaves the state as
    it is. While it stands in a state, a search adds ``promised``, a part of the boost of a phrase
    that has begun, so that it does not drop it early.

    Attributes:
        next: state after each symbol, ``(H, V)`` int32.
        gain: boosts of the phrases that end on entering each state, ``(H,)``.
        promised: part of the boost of a phrase under way, ``(H,)``.
        start: state before the first symbol, which is as after a delimiter.
    """

    next: np.ndarray
    gain: np.ndarray
    promised: np.ndarray
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
    gain, promised = [0.0], [0.0]
    for phrase, boost in zip(phrases, boosts, strict=True):
        symbols = [delimiter, *(s for word in phrase for s in (*word, delimiter))]
        state = 0
        for depth, symbol in enumerate(symbols):
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                gain.append(0.0)
                promised.append(0.0)
            state = children[state][symbol]
            if depth < len(symbols) - 1:
                promised[state] = max(promised[state], boost * depth / (len(symbols) - 1))
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
    return HotWords(following, np.array(gain), np.array(promised), start)
