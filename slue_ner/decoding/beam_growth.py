"""How prefixes grow in a frame, and which of them need not be kept; see ``beam_kernel``."""

from __future__ import annotations

import math

import numpy as np

from slue_ner.decoding.beam_kernel import (
    CHARACTER_STATE,
    DELIMITER_KIND,
    END_FACTOR,
    END_STATE,
    FACTOR,
    FIRST_CHILD,
    GRAMMAR,
    HOT,
    LN_10,
    NONE,
    NOT_YET,
    OPENS,
    PENDING,
    SIBLING,
    SLOT,
    SPELLING,
    SYMBOL,
    TINY,
    TREE,
    UNKNOWN,
    WORD_STATE,
    Beam,
    Found,
    Frame,
    Rules,
    moved,
    word_end,
)
from slue_ner.decoding.compiling import compiled
from slue_ner.decoding.ngram import UNKNOWN_ID
from slue_ner.decoding.ngram_kernel import advance


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
    hot_next, hot_gain, hot_promised = rules.hot.next, rules.hot.gain, rules.hot.promised
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
                change = hot_promised[hot_after] - hot_promised[hot] + hot_gain[hot_after]
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
