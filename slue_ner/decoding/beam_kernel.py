"""The loops of the beam search, compiled; what they compute is said in ``beam``.

A node is a prefix: a sequence of symbols, and all that follows from it. The beam holds nodes with
two weights each, of the paths that end in a blank and of those that end in the last symbol; as
plain numbers, not logarithms, and relative to the best of the frame before, so that a frame costs
additions and multiplications only. The factor by which the language model and the rest change a
prefix that grows by one symbol is kept in the new node.

Whoever passes ``Rules`` to a compiled function copies a kilobyte: nothing that runs for every
prefix may do so. Change of another file does not make numba compile this one again: after work on
``ngram_kernel``, remove the ``__pycache__`` here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from slue_ner.decoding.compiling import compiled
from slue_ner.decoding.ngram import END_ID, UNKNOWN_ID
from slue_ner.decoding.ngram_kernel import advance

LETTER, DELIMITER_KIND, OPENS, CLOSES, NEVER = range(5)
"""Kinds of symbols; the last are blank and ``<unk>``."""

OUTSIDE, OPENED, INSIDE, OPENING, CLOSING = range(5)
"""Where a prefix stands: in no entity, before an entity's first word, in an entity behind a word,
behind a type symbol, behind ``]``."""

PARENT, SYMBOL, TREE, WORD_STATE, CHARACTER_STATE, HOT, GRAMMAR = range(7)
FIRST_CHILD, SIBLING, SLOT, END_STATE = range(7, 11)
NUM_INTS = 11
FACTOR, PENDING, SPELLING, UNKNOWN, END_FACTOR = range(5)
NUM_FLOATS = 5
NOT_YET = -2.0
NONE = -1

LN_10 = math.log(10.0)
TINY = 1e-200  # below it numbers become slow, and no hypothesis matters


class Beam(NamedTuple):
    """Prefixes in the beam: nodes, weights of paths that end in a blank and in the last symbol.

    ``totals`` are both weights together, ``next_*`` those after the frame, and ``has_child`` tells
    whether a prefix that grew out of one is in the beam, too.
    """

    nodes: np.ndarray
    blanks: np.ndarray
    others: np.ndarray
    totals: np.ndarray
    next_blanks: np.ndarray
    next_others: np.ndarray
    has_child: np.ndarray


class Found(NamedTuple):
    """Prefixes after a frame: those in the beam, then those that grew out of them.

    ``keys`` are weights, ``slots`` places in the beam of what a prefix grew out of, ``ints`` and
    ``floats`` the columns of its node.
    """

    keys: np.ndarray
    slots: np.ndarray
    ints: np.ndarray
    floats: np.ndarray


class Frame(NamedTuple):
    """A frame: ``symbols`` that are tried, and by symbol their probability, 0 of all others.

    ``child_of`` is room: the child in the lexicon that a symbol leads to.
    """

    symbols: np.ndarray
    allowed: np.ndarray
    child_of: np.ndarray


class Ngrams(NamedTuple):
    """Arrays of an ``NgramModel``."""

    word: np.ndarray
    log_prob: np.ndarray
    back_off: np.ndarray
    suffix: np.ndarray
    first_child: np.ndarray


class Tree(NamedTuple):
    """Arrays of a ``Lexicon``; ``ahead`` is what the best word below a node may still cost."""

    symbol: np.ndarray
    first_child: np.ndarray
    word: np.ndarray
    ahead: np.ndarray


class Hot(NamedTuple):
    """Arrays of ``HotWords``."""

    next: np.ndarray
    gain: np.ndarray
    promised: np.ndarray


class Rules(NamedTuple):
    """Everything that scores a prefix, beside the emissions."""

    kinds: np.ndarray
    characters: np.ndarray
    words: Ngrams
    spelling: Ngrams
    tree: Tree
    hot: Hot
    delimiter: int
    start_state: int
    hot_start: int
    lm_weight: float
    word_score: float
    unknown_score: float
    entity_gain: float
    has_tree: bool
    has_words: bool
    has_characters: bool
    open_vocabulary: bool
    grammar: bool
    hot_gain: float
    word_gain: float


@compiled
def moved(kind: int, state: int, at_start: bool) -> int:
    """The state of the grammar after a symbol; -1 where it is not allowed."""
    if kind == DELIMITER_KIND:
        if state == OPENING:
            return OPENED
        if state == CLOSING:
            return OUTSIDE
        return INSIDE if state == OPENED and not at_start else state
    if kind == OPENS:
        return OPENING if state == OUTSIDE and at_start else NONE
    if kind == CLOSES:
        return CLOSING if state == INSIDE and at_start else NONE
    return state if state < OPENING else NONE


@compiled
def _scored(state: int, id: int, ngrams: Ngrams) -> tuple[float, int]:
    """Natural logarithm of a word's probability, and the state after it."""
    log_10, state = advance(
        state, id, ngrams.word, ngrams.log_prob, ngrams.back_off, ngrams.suffix, ngrams.first_child
    )
    return log_10 * LN_10, state


@compiled
def word_end(node: int, ints: np.ndarray, floats: np.ndarray, rules: Rules) -> float:
    """The factor of ending the word here, kept for the next time; 0 where no word may end."""
    if floats[node, END_FACTOR] != NOT_YET:
        return float(floats[node, END_FACTOR])
    floats[node, END_FACTOR] = 0.0
    place = ints[node, TREE]
    score = rules.word_score
    state = ints[node, WORD_STATE]
    if rules.has_tree:
        id = rules.tree.word[place] if place >= 0 else NONE
        if id < 0 and not rules.open_vocabulary:
            return 0.0
        unknown = id <= UNKNOWN_ID
        if rules.has_words:
            log_prob, state = _scored(state, max(id, UNKNOWN_ID), rules.words)
            score += rules.lm_weight * log_prob
        if unknown:
            score += rules.unknown_score
            if rules.has_words and rules.has_characters:
                end, _ = _scored(
                    ints[node, CHARACTER_STATE], rules.characters[rules.delimiter], rules.spelling
                )
                score += floats[node, SPELLING] + rules.lm_weight * end
    floats[node, END_FACTOR] = math.exp(score) / floats[node, PENDING]
    ints[node, END_STATE] = state
    return float(floats[node, END_FACTOR])


@compiled
def finished(node: int, ints: np.ndarray, floats: np.ndarray, rules: Rules) -> float:
    """What the end of the utterance adds to the logarithm of a weight; -inf if it may not end."""
    last = ints[node, SYMBOL]
    at_start = last == NONE or rules.kinds[last] == DELIMITER_KIND
    state = ints[node, WORD_STATE]
    grammar = ints[node, GRAMMAR]
    hot = ints[node, HOT]
    score = 0.0
    if not at_start:
        end = word_end(node, ints, floats, rules)
        if end == 0.0:
            return -math.inf
        score += math.log(end)
        state = ints[node, END_STATE]
        grammar = moved(DELIMITER_KIND, grammar, at_start)
        score -= rules.hot.promised[hot]
        hot = rules.hot.next[hot, rules.delimiter]
        score += rules.hot.gain[hot]
    else:
        score -= rules.hot.promised[hot]
    if rules.grammar and grammar != OUTSIDE:
        return -math.inf
    if rules.has_words:
        log_prob, _ = _scored(state, END_ID, rules.words)
        score += rules.lm_weight * log_prob
    elif rules.has_characters:
        state = ints[node, CHARACTER_STATE]
        if not at_start:
            log_prob, state = _scored(state, rules.characters[rules.delimiter], rules.spelling)
            score += rules.lm_weight * log_prob
        log_prob, _ = _scored(state, END_ID, rules.spelling)
        score += rules.lm_weight * log_prob
    return float(score)


def new_nodes(size: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Room for nodes, of which the first is the empty prefix."""
    ints = np.full((size, NUM_INTS), NONE, np.int32)
    floats = np.zeros((size, NUM_FLOATS))
    ints[0, TREE] = 0 if rules.has_tree else NONE
    ints[0, [WORD_STATE, CHARACTER_STATE]] = rules.start_state
    ints[0, HOT] = rules.hot_start
    ints[0, GRAMMAR] = OUTSIDE
    ints[0, SLOT] = 0
    floats[0, PENDING] = 1.0
    floats[:, UNKNOWN:] = NOT_YET
    return ints, floats
