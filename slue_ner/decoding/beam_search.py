"""The compiled walk over the frames of a beam search; see ``beam_kernel`` for what a node is."""

from __future__ import annotations

import math

import numpy as np

from slue_ner.decoding.beam_growth import grow, node_of, recombine
from slue_ner.decoding.beam_kernel import (
    END_FACTOR,
    FACTOR,
    FIRST_CHILD,
    GRAMMAR,
    NEVER,
    NONE,
    NOT_YET,
    NUM_FLOATS,
    NUM_INTS,
    PARENT,
    PENDING,
    SIBLING,
    SLOT,
    SYMBOL,
    TINY,
    UNKNOWN,
    Beam,
    Found,
    Frame,
    Rules,
    finished,
)
from slue_ner.decoding.compiling import compiled


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
