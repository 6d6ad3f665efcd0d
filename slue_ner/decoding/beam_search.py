"""The compiled walk over the frames of a beam search; see ``beam_kernel`` for what a node is."""

from __future__ import annotations

import math

import numpy as np

from slue_ner.decoding.beam_kernel import (
    _NONE,
    _NUM_FLOATS,
    _NUM_INTS,
    _TINY,
    END_FACTOR,
    FACTOR,
    FIRST_CHILD,
    NEVER,
    PARENT,
    PENDING,
    SIBLING,
    SLOT,
    SYMBOL,
    TREE,
    finished,
    grown,
)
from slue_ner.decoding.compiling import compiled

_NOT_YET = -2.0


@compiled
def _largest(values, work, count, rank):  # type: ignore[no-untyped-def]
    """The ``rank``-th largest of ``count`` values, from 1."""
    for i in range(count):
        work[i] = values[i]
    low, high = 0, count - 1
    target = rank - 1
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
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return work[target]


@compiled
def _node_of(parent, symbol, ints):  # type: ignore[no-untyped-def]
    """The child that was made of a node and a symbol before; -1 if there is none."""
    node = ints[parent, FIRST_CHILD]
    while node >= 0 and ints[node, SYMBOL] != symbol:
        node = ints[node, SIBLING]
    return node


@compiled
def _with_room(ints, floats, needed):  # type: ignore[no-untyped-def]
    if needed <= len(ints):
        return ints, floats
    size = max(2 * len(ints), needed)
    more_ints = np.empty((size, _NUM_INTS), np.int32)
    more_floats = np.empty((size, _NUM_FLOATS))
    more_ints[: len(ints)] = ints
    more_floats[: len(ints)] = floats
    return more_ints, more_floats


@compiled
def search(probs, rules, ints, floats, blank, beam, least, num_symbols, sure, add):  # type: ignore[no-untyped-def]
    """Search the best prefixes.

    Args:
        probs: ``(T, V)`` float64, in [0, 1].
        rules: what scores a prefix.
        ints, floats: see ``new_nodes``.
        blank: its id.
        beam: prefixes kept after a frame.
        least: prefixes below this share of the best weight are dropped.
        num_symbols: symbols tried in a frame, the most probable ones.
        sure: frames whose blank is at least this probable let no prefix grow.
        add: paths of a prefix add up; else the best one counts.

    Returns:
        The nodes' integers, the nodes in the beam, the logarithm of their weights, and what the
        end adds to it (see ``finished``).
    """
    num_frames, size = probs.shape
    tried = min(num_symbols, size)
    room = beam * (tried + 1)
    nodes = np.zeros(beam, np.int32)
    spare_nodes = np.zeros(beam, np.int32)
    blanks, others = np.zeros(beam), np.zeros(beam)
    next_blanks, next_others = np.zeros(beam), np.zeros(beam)
    totals = np.zeros(beam)
    keys, work = np.empty(room), np.empty(room)
    found_slot = np.empty(room, np.int32)
    found = np.empty((room, _NUM_INTS), np.int32)
    found_values = np.empty((room, _NUM_FLOATS))
    allowed = np.zeros(size)  # probability of this frame's symbols, 0 of those not tried
    symbols = np.empty(size, np.int32)
    child_of = np.full(size, _NONE, np.int32)
    has_child_in_beam = np.zeros(beam, np.bool_)
    tree_first, tree_symbol = rules.tree.first_child, rules.tree.symbol
    only_known = rules.has_tree and not rules.open_vocabulary
    blanks[0] = 1.0
    count, num_nodes = 1, 1
    log_scale = 0.0
    for t in range(num_frames):
        silent = max(probs[t, blank], 1e-30)
        if silent >= sure:
            for i in range(count):
                blanks[i] = blanks[i] + others[i] if add else max(blanks[i], others[i])
                others[i] = 0.0
            log_scale += math.log(silent)
            continue
        # symbols of this frame, the most probable ones, first
        num_tried = 0
        for symbol in range(size):
            allowed[symbol] = 0.0
            if probs[t, symbol] > 0.0 and rules.kinds[symbol] != NEVER:
                symbols[num_tried] = symbol
                keys[num_tried] = probs[t, symbol]
                num_tried += 1
        if num_tried > num_symbols:
            lowest = _largest(keys, work, num_tried, num_symbols)
            kept = 0
            for i in range(num_tried):
                if keys[i] >= lowest and kept < num_symbols:
                    symbols[kept] = symbols[i]
                    kept += 1
            num_tried = kept
        for i in range(num_tried):
            allowed[symbols[i]] = probs[t, symbols[i]]
        # prefixes that stay as they are
        for i in range(count):
            totals[i] = blanks[i] + others[i] if add else max(blanks[i], others[i])
            next_blanks[i] = totals[i] * silent
            last = ints[nodes[i], SYMBOL]
            next_others[i] = others[i] * allowed[last] if last >= 0 else 0.0
            has_child_in_beam[i] = False
        # prefixes that grow into others that are in the beam
        for i in range(count):
            node = nodes[i]
            parent = ints[node, PARENT]
            slot = ints[parent, SLOT] if parent >= 0 else _NONE
            if slot >= 0:
                has_child_in_beam[slot] = True
                symbol = ints[node, SYMBOL]
                base = blanks[slot] if ints[parent, SYMBOL] == symbol else totals[slot]
                grew = base * allowed[symbol] * floats[node, FACTOR]
                next_others[i] = next_others[i] + grew if add else max(next_others[i], grew)
        best, worst = 0.0, math.inf
        for i in range(count):
            weight = next_blanks[i] + next_others[i] if add else max(next_blanks[i], next_others[i])
            keys[i] = weight
            best, worst = max(best, weight), min(worst, weight)
        cut = best * least
        if count == beam:
            cut = max(cut, worst)
        # prefixes that grow into new ones
        num_found = count
        for i in range(count):
            node = nodes[i]
            last = ints[node, SYMBOL]
            place = ints[node, TREE]
            pending = floats[node, PENDING]
            letter_gain = rules.hot_gain
            end_gain = rules.hot_gain * rules.word_gain / pending
            children = 0
            if place >= 0:
                children = tree_first[place + 1] - tree_first[place]
                if not only_known:
                    for c in range(tree_first[place], tree_first[place + 1]):
                        child_of[tree_symbol[c]] = c
            if rules.has_tree and rules.open_vocabulary:
                letter_gain *= max(1.0, rules.unknown_gain / pending)
            num_ways = children + 1 if only_known else num_tried
            for way in range(num_ways):
                if only_known:
                    child = tree_first[place] + way if way < children else _NONE
                    symbol = tree_symbol[child] if way < children else rules.delimiter
                else:
                    symbol = symbols[way]
                    child = child_of[symbol]
                base = blanks[i] if symbol == last else totals[i]
                grew = base * allowed[symbol]
                if only_known and child >= 0:
                    most = grew * rules.hot_gain * rules.tree.ahead[child] / pending
                else:
                    most = grew * (end_gain if symbol == rules.delimiter else letter_gain)
                if most < cut or most == 0.0:
                    continue
                if has_child_in_beam[i]:
                    known = _node_of(node, symbol, ints)
                    if known >= 0 and ints[known, SLOT] >= 0:
                        continue
                if grown(
                    node,
                    symbol,
                    child,
                    ints,
                    floats,
                    rules,
                    found[num_found],
                    found_values[num_found],
                ):
                    grew *= found_values[num_found, FACTOR]
                    if grew >= cut:
                        keys[num_found] = grew
                        found_slot[num_found] = i
                        best = max(best, grew)
                        num_found += 1
            if place >= 0 and not only_known:
                for c in range(tree_first[place], tree_first[place + 1]):
                    child_of[tree_symbol[c]] = _NONE
        cut = max(best * least, _TINY)
        if num_found > beam:
            cut = max(cut, _largest(keys, work, num_found, beam))
        # the beam after this frame: what stays first, then what is new
        ints, floats = _with_room(ints, floats, num_nodes + beam)
        for i in range(count):
            ints[nodes[i], SLOT] = _NONE
        scale = 1.0 / best
        kept = 0
        for i in range(num_found):
            if keys[i] < cut or kept == beam:
                continue
            if i < count:
                node = nodes[i]
                blank_weight, other_weight = next_blanks[i] * scale, next_others[i] * scale
            else:
                parent = nodes[found_slot[i]]
                symbol = found[i, SYMBOL]
                node = _node_of(parent, symbol, ints)
                if node < 0:
                    node = num_nodes
                    num_nodes += 1
                    ints[node] = found[i]
                    floats[node] = found_values[i]
                    ints[node, PARENT] = parent
                    ints[node, FIRST_CHILD] = _NONE
                    ints[node, SIBLING] = ints[parent, FIRST_CHILD]
                    ints[parent, FIRST_CHILD] = node
                    floats[node, END_FACTOR] = _NOT_YET
                blank_weight, other_weight = 0.0, keys[i] * scale
            spare_nodes[kept] = node
            # what stays is at or before i, so nothing that is still needed is overwritten
            next_blanks[kept] = blank_weight if blank_weight > _TINY else 0.0
            next_others[kept] = other_weight if other_weight > _TINY else 0.0
            kept += 1
        nodes, spare_nodes = spare_nodes, nodes
        blanks, next_blanks = next_blanks, blanks
        others, next_others = next_others, others
        count = kept
        for i in range(count):
            ints[nodes[i], SLOT] = i
        log_scale -= math.log(scale)
    scores = np.empty(count)
    ends = np.empty(count)
    for i in range(count):
        total = blanks[i] + others[i] if add else max(blanks[i], others[i])
        scores[i] = math.log(total) + log_scale - math.log(floats[nodes[i], PENDING])
        ends[i] = finished(nodes[i], ints, floats, rules)
        if ends[i] > -math.inf:
            ends[i] += math.log(floats[nodes[i], PENDING])
    return ints, nodes[:count], scores, ends
