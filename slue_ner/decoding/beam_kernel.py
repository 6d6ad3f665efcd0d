"""The loops of the beam search, compiled; what they compute is said in ``beam``.

A node is a prefix: a sequence of symbols, and all that follows from it. The beam holds nodes with
two weights each, of the paths that end in a blank and of those that end in the last symbol; as
plain numbers, not logarithms, and relative to the best of the frame before, so that a frame costs
additions and multiplications only. The factor by which the language model and the rest change a
prefix that grows by one symbol is kept in the new node.

Change of another file does not make numba compile this one again: after work on ``ngram_kernel``,
remove the ``__pycache__`` here.
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
_NUM_INTS = 11
FACTOR, PENDING, SPELLING, END_FACTOR = range(4)
_NUM_FLOATS = 4
_NOT_YET = -2.0
_NONE = -1

_LN_10 = math.log(10.0)
_TINY = 1e-200  # below it numbers become slow, and no hypothesis matters


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
    has_tree: bool
    has_words: bool
    has_characters: bool
    open_vocabulary: bool
    grammar: bool
    hot_gain: float
    word_gain: float
    unknown_gain: float


@compiled
def moved(kind, state, at_start):  # type: ignore[no-untyped-def]
    """The state of the grammar after a symbol; -1 where it is not allowed."""
    if kind == DELIMITER_KIND:
        if state == OPENING:
            return OPENED
        if state == CLOSING:
            return OUTSIDE
        return INSIDE if state == OPENED and not at_start else state
    if kind == OPENS:
        return OPENING if state == OUTSIDE and at_start else _NONE
    if kind == CLOSES:
        return CLOSING if state == INSIDE and at_start else _NONE
    return state if state < OPENING else _NONE


@compiled
def _scored(state, id, ngrams):  # type: ignore[no-untyped-def]
    log_10, state = advance(
        state, id, ngrams.word, ngrams.log_prob, ngrams.back_off, ngrams.suffix, ngrams.first_child
    )
    return log_10 * _LN_10, state


@compiled
def word_end(node, ints, floats, rules):  # type: ignore[no-untyped-def]
    """The factor of ending the word here, kept for the next time; 0 where no word may end."""
    if floats[node, END_FACTOR] != _NOT_YET:
        return floats[node, END_FACTOR]
    floats[node, END_FACTOR] = 0.0
    place = ints[node, TREE]
    score = rules.word_score
    state = ints[node, WORD_STATE]
    if rules.has_tree:
        id = rules.tree.word[place] if place >= 0 else _NONE
        if id < 0 and not rules.open_vocabulary:
            return 0.0
        unknown = id <= UNKNOWN_ID
        if rules.has_words:
            log_prob, state = _scored(state, max(id, UNKNOWN_ID), rules.words)
            score += rules.lm_weight * log_prob
        if unknown:
            score += rules.unknown_score
            if rules.has_characters:
                end, _ = _scored(
                    ints[node, CHARACTER_STATE], rules.characters[rules.delimiter], rules.spelling
                )
                score += rules.lm_weight * (floats[node, SPELLING] + end)
    floats[node, END_FACTOR] = math.exp(score) / floats[node, PENDING]
    ints[node, END_STATE] = state
    return floats[node, END_FACTOR]


@compiled
def grown(node, symbol, child, ints, floats, rules, new, values):  # type: ignore[no-untyped-def]
    """Fill in the node of a prefix that grows by a symbol; false where it may not.

    ``child`` is the node of the lexicon that the symbol leads to, or -1.
    """
    kind = rules.kinds[symbol]
    last = ints[node, SYMBOL]
    at_start = last == _NONE or rules.kinds[last] == DELIMITER_KIND
    grammar = ints[node, GRAMMAR]
    if rules.grammar:
        grammar = moved(kind, grammar, at_start)
        if grammar < 0:
            return False
    factor = 1.0
    pending = floats[node, PENDING]
    spelling = 0.0
    place = ints[node, TREE]
    word_state = ints[node, WORD_STATE]
    character_state = ints[node, CHARACTER_STATE]
    letter_score = 0.0
    if rules.has_characters:
        letter_score, character_state = _scored(
            character_state, rules.characters[symbol], rules.spelling
        )
        if not rules.has_tree:
            factor = math.exp(rules.lm_weight * letter_score)
    if kind == DELIMITER_KIND:
        if not at_start:
            end = word_end(node, ints, floats, rules)
            if end == 0.0:
                return False
            factor *= end
            word_state = ints[node, END_STATE]
        pending = 1.0
        place = 0 if rules.has_tree else _NONE
    elif rules.has_tree:
        spelling = floats[node, SPELLING] + letter_score
        if child >= 0:
            pending = rules.tree.ahead[child]
        elif not rules.open_vocabulary:
            return False
        else:
            score = rules.unknown_score
            if rules.has_words:
                unknown, _ = _scored(word_state, UNKNOWN_ID, rules.words)
                score += rules.lm_weight * unknown
            pending = math.exp(score + rules.lm_weight * spelling)
        if pending < _TINY:
            return False
        factor *= pending / floats[node, PENDING]
        place = child
    hot = ints[node, HOT]
    following = rules.hot.next[hot, symbol]
    if hot != following:
        change = rules.hot.promised[following] - rules.hot.promised[hot]
        factor *= math.exp(change + rules.hot.gain[following])
    new[SYMBOL] = symbol
    new[TREE] = place
    new[WORD_STATE] = word_state
    new[CHARACTER_STATE] = character_state
    new[HOT] = following
    new[GRAMMAR] = grammar
    values[FACTOR] = factor
    values[PENDING] = pending
    values[SPELLING] = spelling
    return True


@compiled
def finished(node, ints, floats, rules):  # type: ignore[no-untyped-def]
    """What the end of the utterance adds to the logarithm of a weight; -inf if it may not end."""
    last = ints[node, SYMBOL]
    at_start = last == _NONE or rules.kinds[last] == DELIMITER_KIND
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
    elif rules.has_characters and not rules.has_tree:
        log_prob, _ = _scored(ints[node, CHARACTER_STATE], END_ID, rules.spelling)
        score += rules.lm_weight * log_prob
    return score


def new_nodes(size: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Room for nodes, of which the first is the empty prefix."""
    ints = np.full((size, _NUM_INTS), _NONE, np.int32)
    floats = np.zeros((size, _NUM_FLOATS))
    ints[0, TREE] = 0 if rules.has_tree else _NONE
    ints[0, [WORD_STATE, CHARACTER_STATE]] = rules.start_state
    ints[0, HOT] = rules.hot_start
    ints[0, GRAMMAR] = OUTSIDE
    ints[0, SLOT] = 0
    floats[0, PENDING] = 1.0
    floats[:, END_FACTOR] = _NOT_YET
    return ints, floats
