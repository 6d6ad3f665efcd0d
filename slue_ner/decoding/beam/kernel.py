"""The loops of the beam search, compiled; what they compute is said in ``search``.

A node is a prefix: a sequence of symbols, and all that follows from it. The beam holds nodes with
two weights each, of the paths that end in a blank and of those that end in the last symbol; as
plain numbers, not logarithms, and relative to the best of the frame before, so that a frame costs
additions and multiplications only. The factor by which the language model and the rest change a
prefix that grows by one symbol is kept in the new node.

Whoever passes ``Rules`` to a compiled function copies a kilobyte: nothing that runs for every
prefix may do so. Change of another file does not make numba compile this one again: after work on
``lm.ngram_kernel``, remove the ``__pycache__`` here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from slue_ner.decoding.compiling import compiled
from slue_ner.decoding.lm.ngram import END_ID, UNKNOWN_ID
from slue_ner.decoding.lm.ngram_kernel import advance

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
    pending: np.ndarray


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
        score -= rules.hot.pending[hot]
        hot = rules.hot.next[hot, rules.delimiter]
        score += rules.hot.gain[hot]
    else:
        score -= rules.hot.pending[hot]
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


@compiled
def node_of(parent: int, symbol: int, ints: np.ndarray) -> int:
    """The node that was made of another and a symbol before; -1 if there is none."""
    node = ints[parent, FIRST_CHILD]
    while node >= 0 and ints[node, SYMBOL] != symbol:
        node = ints[node, SIBLING]
    return int(node)


@compiled
def grow(
    count: int,
    cut: float,
    num_tried: int,
    frame: Frame,
    beam: Beam,
    ints: np.ndarray,
    floats: np.ndarray,
    rules: Rules,
    found: Found,
) -> int:
    """Add the prefixes that grow out of those in the beam and weigh at least ``cut``."""
    nodes, blanks, totals, has_child = beam.nodes, beam.blanks, beam.totals, beam.has_child
    symbols, allowed, child_of = frame.symbols, frame.allowed, frame.child_of
    keys, slots, new_ints, new_floats = found.keys, found.slots, found.ints, found.floats
    kinds, characters, delimiter = rules.kinds, rules.characters, rules.delimiter
    tree_symbol, tree_first, ahead = rules.tree.symbol, rules.tree.first_child, rules.tree.ahead
    hot_next, hot_gain, hot_pending = rules.hot.next, rules.hot.gain, rules.hot.pending
    words, spelling = rules.words, rules.spelling
    has_tree, has_words, has_characters = rules.has_tree, rules.has_words, rules.has_characters
    weight, unknown_score, grammatical = rules.lm_weight, rules.unknown_score, rules.grammar
    most_hot, most_word, entity_gain = rules.hot_gain, rules.word_gain, rules.entity_gain
    only_known = has_tree and not rules.open_vocabulary
    first_found = count
    top = 0.0  # probability of the likeliest letter or mark
    for i in range(num_tried):
        if symbols[i] != delimiter:
            top = max(top, allowed[symbols[i]])
    for i in range(first_found):
        node = nodes[i]
        last, place = ints[node, SYMBOL], ints[node, TREE]
        pending = floats[node, PENDING]
        at_start = last < 0 or kinds[last] == DELIMITER_KIND
        most_known, most_other = most_hot / pending, most_hot
        unknown = 1.0
        if has_tree and not only_known:
            unknown = floats[node, UNKNOWN]
            if unknown == NOT_YET:
                score = unknown_score
                if has_words:
                    log_10, _ = advance(
                        ints[node, WORD_STATE],
                        UNKNOWN_ID,
                        words.word,
                        words.log_prob,
                        words.back_off,
                        words.suffix,
                        words.first_child,
                    )
                    score += weight * LN_10 * log_10
                unknown = math.exp(score)
                floats[node, UNKNOWN] = unknown
            if place >= 0:
                most_other = most_known * unknown * math.exp(floats[node, SPELLING])
        most_letter = max(most_hot, most_other) * max(1.0, entity_gain)
        most_end = most_hot if at_start else most_hot * most_word
        if place >= 0 and not at_start:
            most_end /= pending
        letters_weigh = totals[i] * top * most_letter >= cut
        if not letters_weigh and totals[i] * allowed[delimiter] * most_end < cut:
            continue
        first, after = 0, 0
        if place >= 0 and (letters_weigh or not only_known):
            first, after = tree_first[place], tree_first[place + 1]
        if not only_known:
            for child in range(first, after):
                child_of[tree_symbol[child]] = child
        for way in range(after - first + 1 if only_known else num_tried):
            child = NONE
            if not only_known:
                symbol = symbols[way]
                child = child_of[symbol]
            elif first + way < after:
                child = first + way
                symbol = tree_symbol[child]
            else:
                symbol = delimiter
            # the most that it can weigh: a language model only takes away
            grew = allowed[symbol] * (blanks[i] if symbol == last else totals[i])
            if symbol == delimiter:
                most = most_end
            else:
                most = most_known * ahead[child] if child >= 0 else most_other
                if kinds[symbol] == OPENS:
                    most *= entity_gain
            if grew * most < cut or grew == 0.0:
                continue
            if has_child[i]:
                known = node_of(node, symbol, ints)
                if known >= 0 and ints[known, SLOT] >= 0:
                    continue  # counted among what stays
            grammar = ints[node, GRAMMAR]
            if grammatical:
                grammar = moved(kinds[symbol], grammar, at_start)
                if grammar < 0:
                    continue
            factor, letter_score = 1.0, 0.0
            character_state = ints[node, CHARACTER_STATE]
            if has_characters and not (at_start and symbol == delimiter):
                log_10, character_state = advance(
                    character_state,
                    characters[symbol],
                    spelling.word,
                    spelling.log_prob,
                    spelling.back_off,
                    spelling.suffix,
                    spelling.first_child,
                )
                letter_score = weight * LN_10 * log_10
                if not has_words:
                    factor, letter_score = math.exp(letter_score), 0.0
            word_state = ints[node, WORD_STATE]
            place_after, pending_after, spelling_after = child, pending, 0.0
            if symbol == delimiter:
                if not at_start:
                    end = floats[node, END_FACTOR]
                    if end == NOT_YET:
                        end = word_end(node, ints, floats, rules)
                    if end == 0.0:
                        continue
                    factor *= end
                    word_state = ints[node, END_STATE]
                pending_after = 1.0
                place_after = 0 if has_tree else NONE
            elif has_tree:
                spelling_after = floats[node, SPELLING] + letter_score
                if child >= 0:
                    pending_after = ahead[child]
                elif place < 0:
                    pending_after = pending * math.exp(letter_score)
                else:  # it leaves the lexicon
                    pending_after = unknown * math.exp(spelling_after)
                if pending_after < TINY:
                    continue
                factor *= pending_after / pending
            if kinds[symbol] == OPENS:
                factor *= entity_gain
            hot = ints[node, HOT]
            hot_after = hot_next[hot, symbol]
            if hot_after != hot:
                change = hot_pending[hot_after] - hot_pending[hot] + hot_gain[hot_after]
                factor *= math.exp(change)
            if grew * factor < cut:
                continue
            keys[count] = grew * factor
            slots[count] = i
            new_ints[count, SYMBOL] = symbol
            new_ints[count, TREE] = place_after
            new_ints[count, WORD_STATE] = word_state
            new_ints[count, CHARACTER_STATE] = character_state
            new_ints[count, HOT] = hot_after
            new_ints[count, GRAMMAR] = grammar
            new_floats[count, FACTOR] = factor
            new_floats[count, PENDING] = pending_after
            new_floats[count, SPELLING] = spelling_after
            new_floats[count, UNKNOWN] = NOT_YET if symbol == delimiter else unknown
            count += 1
        if not only_known:
            for child in range(first, after):
                child_of[tree_symbol[child]] = NONE
    return count


@compiled
def recombine(
    num_stayed: int,
    count: int,
    beam: Beam,
    ints: np.ndarray,
    floats: np.ndarray,
    found: Found,
    table: np.ndarray,
    by_spelling: bool,
) -> None:
    """Set the weight of every prefix to 0 that another one beats, now and whatever follows.

    These are two of which all models see the same, so that what follows adds the same to both;
    ``by_spelling``: what a word has cost so far matters, too.
    """
    nodes, next_blanks, next_others = beam.nodes, beam.next_blanks, beam.next_others
    keys, new_ints, new_floats = found.keys, found.ints, found.floats
    for i in range(num_stayed):
        for column in range(SYMBOL, GRAMMAR + 1):
            new_ints[i, column] = ints[nodes[i], column]
        new_floats[i, SPELLING] = floats[nodes[i], SPELLING]
    mask = 1
    while mask < 2 * count:
        mask *= 2
    table[:mask] = NONE
    mask -= 1
    for i in range(count):
        if keys[i] == 0.0:
            continue
        key = np.uint64(0)
        for column in range(SYMBOL, GRAMMAR + 1):
            key = (key ^ np.uint64(new_ints[i, column] + 1)) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        place = np.int64(key) & mask
        j = table[place]
        while j >= 0:
            equal = not by_spelling or new_floats[i, SPELLING] == new_floats[j, SPELLING]
            for column in range(SYMBOL, GRAMMAR + 1):
                equal = equal and new_ints[i, column] == new_ints[j, column]
            if equal:
                break
            place = (place + 1) & mask
            j = table[place]
        if j < 0:
            table[place] = i
            continue
        mine, its = (0.0, keys[i]), (0.0, keys[j])
        if i < num_stayed:
            mine = next_blanks[i], next_others[i]
        if j < num_stayed:
            its = next_blanks[j], next_others[j]
        if its[0] >= mine[0] and its[1] >= mine[1]:
            keys[i] = 0.0
        elif mine[0] >= its[0] and mine[1] >= its[1]:
            keys[j] = 0.0
            table[place] = i


@compiled
def _largest(values: np.ndarray, work: np.ndarray, count: int, rank: int) -> float:
    """The ``rank``-th largest of ``count`` values, from 1; ``work`` is room for them."""
    for i in range(count):
        work[i] = values[i]
    low, high = 0, count - 1
    while low < high:
        pivot = work[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while work[i] > pivot:
                i += 1
            while work[j] < pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if rank - 1 <= j:
            high = j
        elif rank - 1 >= i:
            low = i
        else:
            break
    largest: float = work[rank - 1]
    return largest


@compiled
def _choose_symbols(
    probs: np.ndarray, rules: Rules, most: int, frame: Frame, found: Found, work: np.ndarray
) -> int:
    """Fill in the ``most`` probable symbols of a frame; how many they are."""
    kinds, symbols, allowed, keys = rules.kinds, frame.symbols, frame.allowed, found.keys
    count = 0
    for symbol in range(len(probs)):
        allowed[symbol] = 0.0
        if probs[symbol] > 0.0 and kinds[symbol] != NEVER:
            symbols[count] = symbol
            keys[count] = probs[symbol]
            count += 1
    if count > most:
        lowest = _largest(keys, work, count, most)
        kept, ties = 0, most
        for i in range(count):
            ties -= keys[i] > lowest
        for i in range(count):
            if keys[i] < lowest or (keys[i] == lowest and ties == 0):
                continue
            ties -= keys[i] == lowest
            symbols[kept] = symbols[i]
            kept += 1
        count = kept
    for i in range(count):
        allowed[symbols[i]] = probs[symbols[i]]
    return count


@compiled
def _stay(
    count: int,
    beam: Beam,
    silent: float,
    add: bool,
    allowed: np.ndarray,
    ints: np.ndarray,
    floats: np.ndarray,
    keys: np.ndarray,
) -> tuple[float, float]:
    """Weigh the prefixes in the beam if nothing is added to them; the best weight, the worst."""
    nodes, blanks, others, totals = beam.nodes, beam.blanks, beam.others, beam.totals
    next_blanks, next_others, has_child = beam.next_blanks, beam.next_others, beam.has_child
    for i in range(count):
        totals[i] = blanks[i] + others[i] if add else max(blanks[i], others[i])
        last = ints[nodes[i], SYMBOL]
        next_blanks[i] = totals[i] * silent
        next_others[i] = others[i] * allowed[last] if last >= 0 else 0.0
        has_child[i] = False
    for i in range(count):  # what grows into a prefix that is in the beam as well
        parent = ints[nodes[i], PARENT]
        slot = ints[parent, SLOT] if parent >= 0 else NONE
        if slot >= 0:
            has_child[slot] = True
            symbol = ints[nodes[i], SYMBOL]
            base = blanks[slot] if ints[parent, SYMBOL] == symbol else totals[slot]
            grew = base * allowed[symbol] * floats[nodes[i], FACTOR]
            next_others[i] = next_others[i] + grew if add else max(next_others[i], grew)
    best, worst = 0.0, math.inf
    for i in range(count):
        keys[i] = next_blanks[i] + next_others[i] if add else max(next_blanks[i], next_others[i])
        best, worst = max(best, keys[i]), min(worst, keys[i])
    return best, worst


@compiled
def _with_room(ints: np.ndarray, floats: np.ndarray, needed: int) -> tuple[np.ndarray, np.ndarray]:
    if needed <= len(ints):
        return ints, floats
    size = max(2 * len(ints), needed)
    more_ints = np.empty((size, NUM_INTS), np.int32)
    more_floats = np.empty((size, NUM_FLOATS))
    more_ints[: len(ints)] = ints
    more_floats[: len(ints)] = floats
    return more_ints, more_floats


@compiled
def _keep(
    cut: float,
    scale: float,
    num_stayed: int,
    count: int,
    num_nodes: int,
    beam: Beam,
    ints: np.ndarray,
    floats: np.ndarray,
    found: Found,
    next_nodes: np.ndarray,
) -> tuple[int, int]:
    """Make the beam of what weighs at least ``cut``; its size, and the number of nodes then."""
    nodes, blanks, others, totals = beam.nodes, beam.blanks, beam.others, beam.totals
    next_blanks, next_others = beam.next_blanks, beam.next_others
    keys, slots, new_ints, new_floats = found.keys, found.slots, found.ints, found.floats
    for i in range(num_stayed):
        ints[nodes[i], SLOT] = NONE
    kept = 0
    for i in range(count):
        if keys[i] < cut:
            continue
        slot = kept
        if kept == len(nodes):  # take the place of one that weighs as much as the cut
            if keys[i] == cut:
                continue
            slot = 0
            while totals[slot] > cut:
                slot += 1
        if i < num_stayed:
            node = nodes[i]
            blank, other = next_blanks[i] * scale, next_others[i] * scale
        else:
            parent, symbol = nodes[slots[i]], new_ints[i, SYMBOL]
            node = node_of(parent, symbol, ints)
            if node < 0:
                node = num_nodes
                num_nodes += 1
                for column in range(SYMBOL, GRAMMAR + 1):
                    ints[node, column] = new_ints[i, column]
                ints[node, PARENT] = parent
                ints[node, SIBLING] = ints[parent, FIRST_CHILD]
                ints[parent, FIRST_CHILD] = node
                ints[node, FIRST_CHILD] = NONE
                for column in range(FACTOR, UNKNOWN + 1):
                    floats[node, column] = new_floats[i, column]
                floats[node, END_FACTOR] = NOT_YET
            blank, other = 0.0, keys[i] * scale
        next_nodes[slot], totals[slot] = node, keys[i]
        blanks[slot] = blank if blank > TINY else 0.0
        others[slot] = other if other > TINY else 0.0
        kept = max(kept, slot + 1)
    for i in range(kept):
        nodes[i] = next_nodes[i]
        ints[nodes[i], SLOT] = i
    return kept, num_nodes


@compiled
def search(
    probs: np.ndarray,
    rules: Rules,
    ints: np.ndarray,
    floats: np.ndarray,
    blank: int,
    size: int,
    least: float,
    num_symbols: int,
    sure: float,
    add: bool,
    only_best: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Search the best prefixes.

    Args:
        probs: ``(T, V)`` float64, in [0, 1].
        rules: what scores a prefix.
        ints: of nodes, see ``new_nodes``.
        floats: of nodes.
        blank: its id.
        size: prefixes kept after a frame.
        least: prefixes below this share of the best weight are dropped.
        num_symbols: symbols tried in a frame, the most probable ones.
        sure: frames whose blank is at least this probable let no prefix grow.
        add: paths of a prefix add up; else the best one counts.
        only_best: drop a prefix when another beats it whatever follows.

    Returns:
        The nodes' integers, the nodes in the beam, the logarithm of their weights without what
        is pending, and what the end adds to it (see ``finished``).
    """
    num_frames, width = probs.shape
    room = max(size * (min(num_symbols, width) + 2), width)
    none = np.zeros((6, size))
    beam = Beam(
        np.zeros(size, np.int32), none[0], none[1], none[2], none[3], none[4], none[5] > 0.0
    )
    found = Found(
        np.empty(room),
        np.empty(room, np.int32),
        np.empty((room, NUM_INTS), np.int32),
        np.empty((room, NUM_FLOATS)),
    )
    frame = Frame(np.empty(width, np.int32), np.zeros(width), np.full(width, NONE, np.int32))
    work, table, next_nodes = (
        np.empty(room),
        np.empty(4 * room, np.int32),
        np.empty_like(beam.nodes),
    )
    nodes, blanks, others, keys = beam.nodes, beam.blanks, beam.others, found.keys
    by_spelling = rules.has_characters and rules.has_tree
    blanks[0] = 1.0
    count, num_nodes, log_scale = 1, 1, 0.0
    for t in range(num_frames):
        silent = max(probs[t, blank], 1e-30)
        if silent >= sure:
            for i in range(count):
                blanks[i] = blanks[i] + others[i] if add else max(blanks[i], others[i])
                others[i] = 0.0
            log_scale += math.log(silent)
            continue
        num_tried = _choose_symbols(probs[t], rules, num_symbols, frame, found, work)
        best, worst = _stay(count, beam, silent, add, frame.allowed, ints, floats, keys)
        cut = max(best * least, TINY, worst if count == size else 0.0)
        num_stayed = count
        count = grow(num_stayed, cut, num_tried, frame, beam, ints, floats, rules, found)
        if only_best:
            recombine(num_stayed, count, beam, ints, floats, found, table, by_spelling)
        best = keys[:count].max()
        cut = max(best * least, TINY)
        if count > size:
            cut = max(cut, _largest(keys, work, count, size))
        ints, floats = _with_room(ints, floats, num_nodes + 2 * size)  # places are taken twice
        count, num_nodes = _keep(
            cut, 1.0 / best, num_stayed, count, num_nodes, beam, ints, floats, found, next_nodes
        )
        log_scale += math.log(best)
    scores, ends = np.empty(count), np.empty(count)
    for i in range(count):
        pending = math.log(floats[nodes[i], PENDING])
        total = blanks[i] + others[i] if add else max(blanks[i], others[i])
        scores[i] = math.log(total) + log_scale - pending
        ends[i] = finished(nodes[i], ints, floats, rules) + pending
    return ints, nodes[:count], scores, ends
