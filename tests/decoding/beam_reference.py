"""What a beam search has to find, from every CTC path through tiny emissions, and tiny models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from slue_ner.core.labels import END_SYMBOL, LabelSet
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.lm.ngram import END_WORD, START_WORD, UNKNOWN_WORD, NgramModel
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import from_symbols, read_tagged, to_symbols

EXHAUSTIVE = {"beam_size": 30_000, "beam_threshold": 1e3, "blank_threshold": 1.0}

SYMBOLS = ("<blank>", "<unk>", "|", "a", "b", "c")
WRITTEN = "|abc"
TEXT = [text.split() for text in ("a b ab", "b ab", "ab a", "ba c", "a b", "a b c")]
SPELLED = [to_symbols(words) for words in [*TEXT, ["bca", "a"], ["cb"]]]
WORDS, CHARACTERS = train(TEXT, order=3)[0], train(SPELLED, order=3)[0]
LEXICON = ["a", "ab", "cb"]  # the word model does not know the last
HOT = {"a b": 1.0, "a b c": 0.5, "b": 0.3, "cc": 2.0}  # nobody knows the last

MODES: dict[str, dict[str, Any]] = {
    "words": {"words": WORDS},
    "words and lexicon": {"words": WORDS, "lexicon": LEXICON},
    "words, lexicon and characters": {
        "words": WORDS,
        "lexicon": LEXICON,
        "characters": CHARACTERS,
    },
    "characters": {"characters": CHARACTERS},
    "characters and lexicon": {"characters": CHARACTERS, "lexicon": LEXICON},
    "lexicon": {"lexicon": LEXICON},
    "nothing": {},
}
OPEN_MODES = {
    "words": {"words": WORDS},
    "words and characters": {"words": WORDS, "characters": CHARACTERS},
    "words, lexicon and characters": MODES["words, lexicon and characters"],
    "characters and lexicon": MODES["characters and lexicon"],
    "lexicon": {"lexicon": LEXICON},
}

Gram = tuple[str, ...]


@cache
def _paths(num_frames: int, num_symbols: int) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Every path ``(P, T)``, the number of what it collapses to ``(P,)``, and all of these."""
    numbers: dict[tuple[int, ...], int] = {}
    paths = list(itertools.product(range(num_symbols), repeat=num_frames))
    collapsed = [
        numbers.setdefault(tuple(s for s, _ in itertools.groupby(path) if s != 0), len(numbers))
        for path in paths
    ]
    table = np.array(paths, int).reshape(len(paths), num_frames)
    return table, np.array(collapsed), [list(symbols) for symbols in numbers]


def weights(log_probs: np.ndarray, merge: str) -> dict[tuple[int, ...], float]:
    """Logarithm of the sum, or the greatest, of the paths to every sequence that has one."""
    possible = np.flatnonzero(
        (log_probs > -np.inf).any(axis=0) | (np.arange(log_probs.shape[1]) == 0)
    )
    paths, collapsed, sequences = _paths(len(log_probs), len(possible))
    scores = log_probs[:, possible][np.arange(len(log_probs)), paths].sum(axis=1)
    found = np.full(len(sequences), -np.inf)
    (np.logaddexp if merge == "sum" else np.maximum).at(found, collapsed, scores)
    return {
        tuple(possible[sequence].tolist()): float(weight)
        for sequence, weight in zip(sequences, found, strict=True)
        if weight > -np.inf
    }


class BackOff:
    """A model as a table of n-grams, looked up as is defined; natural logarithms."""

    def __init__(self, model: NgramModel) -> None:
        self.order, self.known = model.order, model.ids
        self.table: dict[Gram, tuple[float, float]] = {}
        grams: dict[int, Gram] = {0: ()}
        for node in range(len(model.word)):
            for child in range(model.first_child[node], model.first_child[node + 1]):
                grams[child] = (*grams[node], model.words[model.word[child]])
                self.table[grams[child]] = (model.log_prob[child], model.back_off[child])

    def of_each(self, words: Sequence[str]) -> list[float]:
        """Log-probability of each word of a sentence that starts with them."""
        known = [START_WORD, *(word if word in self.known else UNKNOWN_WORD for word in words)]
        return [
            math.log(10) * self._backed_off(tuple(known[max(0, last - self.order) : last]))
            for last in range(2, len(known) + 1)
        ]

    def _backed_off(self, gram: Gram) -> float:
        if gram in self.table:
            return float(self.table[gram][0])
        return float(self.table.get(gram[:-1], (0, 0))[1]) + self._backed_off(gram[1:])


class Reference:
    """The score of a hypothesis as it is defined; takes what a ``Scorer`` takes."""

    def __init__(
        self,
        symbols: Sequence[str],
        options: BeamOptions,
        *,
        labels: LabelSet | None = None,
        words: NgramModel | None = None,
        characters: NgramModel | None = None,
        lexicon: Sequence[str] | None = None,
        hot_words: Mapping[str, float] | None = None,
    ) -> None:
        self.symbols, self.options, self.labels = symbols, options, labels
        self.words = None if words is None else BackOff(words)
        self.characters = None if characters is None else BackOff(characters)
        self.hot = {tuple(phrase.split()): times for phrase, times in (hot_words or {}).items()}
        self.has_lexicon = words is not None or lexicon is not None
        listed = set(words.words if lexicon is None and words is not None else lexicon or ())
        marks = set() if labels is None else {*labels.symbols.values(), END_SYMBOL}
        seen = marks if words is None else marks & set(words.words)
        self.lexicon = listed | seen | {word for phrase in self.hot for word in phrase}
        self._scores: dict[Gram, float] = {}

    def hypotheses(self, log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
        """Every sequence of symbols that may be written, with its score."""
        found = {}
        for sequence, weight in weights(log_probs, self.options.merge).items():
            symbols = [self.symbols[id] for id in sequence]
            score = -math.inf if UNKNOWN_WORD in symbols else self.score(from_symbols(symbols))
            if score > -math.inf:
                found[sequence] = weight + score
        return found

    def score(self, words: Sequence[str]) -> float:
        """What is added to the emissions; -inf for what may not be written."""
        key = tuple(words)
        if key not in self._scores:
            allowed = self.has_grammar(key) and self.in_vocabulary(key)
            self._scores[key] = self._score(key) if allowed else -math.inf
        return self._scores[key]

    def has_grammar(self, words: Gram) -> bool:
        """Marks stand alone, and reading them repairs nothing."""
        if self.labels is None or not self.options.grammar:
            return True
        marks = {*self.labels.symbols.values(), END_SYMBOL}
        glued = any(len(word) > 1 and marks & set(word) for word in words)
        return not glued and read_tagged(words, self.labels).num_repairs == 0

    def in_vocabulary(self, words: Gram) -> bool:
        closed = self.has_lexicon and self.options.unknown_score is None
        return not closed or self.lexicon.issuperset(words)

    def is_unknown(self, word: str) -> bool:
        if not self.has_lexicon:
            return False
        return word not in self.lexicon or (self.words is not None and word not in self.words.known)

    def _score(self, words: Gram) -> float:
        options = self.options
        score = options.word_score * len(words) + self.boosts(words)
        marks = () if self.labels is None else self.labels.symbols.values()
        score += options.entity_score * sum("".join(words).count(mark) for mark in marks)
        score += (options.unknown_score or 0.0) * sum(map(self.is_unknown, words))
        if self.words is not None:
            seen = [UNKNOWN_WORD if self.is_unknown(word) else word for word in words]
            score += options.lm_weight * sum(self.words.of_each([*seen, END_WORD]))
        if self.characters is not None:
            each = iter(self.characters.of_each([*to_symbols(words), END_WORD]))
            of_words = [sum(itertools.islice(each, len(word) + 1)) for word in words]
            spelled = sum(of_words) + next(each)
            if self.words is not None:
                spelled = sum(itertools.compress(of_words, map(self.is_unknown, words)))
            score += options.lm_weight * spelled
        return score

    def boosts(self, words: Gram) -> float:
        """Of every phrase, wherever it is written whole."""
        return sum(
            self.options.hot_word_boost * times * len(phrase)
            for phrase, times in self.hot.items()
            for first in range(len(words))
            if words[first : first + len(phrase)] == phrase
        )


def random_emissions(
    random: np.random.Generator, symbols: Sequence[str], written: str, num_frames: int
) -> np.ndarray:
    """Some frames sharp, some flat, over the blank and the symbols that are ``written``."""
    ids = [0, *(symbols.index(symbol) for symbol in written)]
    log_probs = np.full((num_frames, len(symbols)), -np.inf)
    for frame in log_probs:
        spread = random.dirichlet(np.full(len(ids), random.choice([0.2, 1.0, 5.0])))
        frame[ids] = np.log(np.maximum(spread, 1e-12))
    return log_probs


def decoder(symbols: Sequence[str], options: BeamOptions, **models: Any) -> BeamDecoder:
    return BeamDecoder(Scorer(symbols, options, **models))


def assert_scores_are_as_defined(
    log_probs: np.ndarray, symbols: Sequence[str], options: BeamOptions, **models: Any
) -> None:
    """With room for all, the search finds every hypothesis, best first, with its score."""
    expected = Reference(symbols, options, **models).hypotheses(log_probs)
    found = decoder(symbols, options, **models).decode(log_probs, num_best=len(expected) + 1)
    assert {h.symbols for h in found} == set(expected)
    assert len(found) == len(expected) and all(h.whole for h in found)
    assert [h.score for h in found] == pytest.approx([expected[h.symbols] for h in found], abs=1e-9)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
