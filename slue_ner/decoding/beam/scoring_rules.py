"""Vocabulary, language models, lexicon and hot words, made ready for a beam search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slue_ner.core.labels import END_SYMBOL, LabelSet
from slue_ner.decoding.beam.word_trees import HotWords, Lexicon, build_hot_words, build_lexicon
from slue_ner.decoding.ctc import BLANK_ID
from slue_ner.decoding.lm.ngram import START_ID, UNKNOWN_ID, NgramModel
from slue_ner.decoding.lm.ngram_counts import MARKS
from slue_ner.decoding.lm.ngram_labels import check_label_set
from slue_ner.text.markup import DELIMITER
from slue_ner.text.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from slue_ner.decoding.beam.kernel import Ngrams, Rules, Tree

_NUM_NAMED = 5
_MOST_BOOST = 100.0

MERGES = ("sum", "max")

_MOST = 100_000  # a beam of so many takes 1.2 GB at 100 symbols


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How emissions are searched; see the head of ``search`` for the score.

    Attributes:
        lm_weight: of the language model, at least 0.
        word_score: added for every word, in nats; positive for more, shorter words.
        entity_score: added for every type symbol, in nats; positive for more entities.
        unknown_score: added for every unknown word, in nats; ``None`` forbids words outside the
            lexicon.
        beam_size: hypotheses kept after every frame.
        beam_threshold: hypotheses that are so many nats worse than the best one are dropped.
        num_symbols: tried in every frame, the most probable ones.
        blank_threshold: a frame whose blank is at least so probable lets no hypothesis grow; 1
            looks at all that are not certain.
        grammar: an entity is opened by a type symbol, holds words, and is closed by ``]``; none
            lies in another, is empty, or stays open, and no mark is part of a word. For models
            without entities nothing changes.
        merge: ``sum`` adds up the paths of a hypothesis, ``max`` takes the best one (as wav2letter
            does by default).
        hot_word_boost: added for every word of a hot phrase that is written whole, in nats.
    """

    lm_weight: float = 1.0
    word_score: float = 0.0
    entity_score: float = 0.0
    unknown_score: float | None = None
    beam_size: int = 100
    beam_threshold: float = 25.0
    num_symbols: int = 100
    blank_threshold: float = 0.9999
    grammar: bool = True
    merge: str = "sum"
    hot_word_boost: float = 5.0

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}, got {self.merge!r}")
        if not (1 <= self.beam_size <= _MOST and 1 <= self.num_symbols <= _MOST):
            raise ValueError(
                f"beam_size and num_symbols must lie between 1 and {_MOST}, "
                f"got {self.beam_size} and {self.num_symbols}"
            )
        if not 0 < self.blank_threshold <= 1:
            raise ValueError(f"blank_threshold must lie in (0, 1], got {self.blank_threshold}")
        for name in ("lm_weight", "beam_threshold", "hot_word_boost"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}")
        for name in ("word_score", "entity_score", "unknown_score"):
            value = getattr(self, name)
            if value is not None and not abs(value) <= 100:
                raise ValueError(f"{name} must lie between -100 and 100, got {value}")


class Scorer:
    """What scores a prefix, beside the emissions.

    Args:
        symbols: ``V`` CTC symbols, of which the first is the blank and ``|`` stands for a space.
        options: weights.
        labels: the label set whose marks are among the symbols; ``None`` for plain ASR.
        words: a language model over words, marks included where there are some.
        characters: a language model over symbols, ``|`` behind every word. Alone it scores every
            symbol, beside a word model the spelling of unknown words.
        lexicon: words that may be written, beside the words of hot phrases and the marks that the
            word model has seen; default: the words of the word model.
        hot_words: phrases and how often ``hot_word_boost`` counts for each of their words.

    Attributes:
        unspelled: words of the lexicon left out because of characters that are no symbols.
        unseen_marks: marks of entities that the word model never saw; a closed vocabulary does
            without them.
        labels_untold: whether a model does not say of which label set its marks are, and they
            fit both.

    Raises:
        ValueError: for models that do not fit the vocabulary or the options, naming what is
            missing.
    """

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
        self.symbols = tuple(symbols)
        self.options = options
        self.unspelled: tuple[str, ...] = ()
        self._ids = {symbol: id for id, symbol in enumerate(self.symbols)}
        if DELIMITER not in self._ids:
            raise ValueError(f"the vocabulary has no {DELIMITER!r}, so there are no words to find")
        marks = () if labels is None else labels.marks
        self.unseen_marks: tuple[str, ...] = ()
        if words is not None:
            _check(words, marks, "words", self._ids)
            self.unseen_marks = tuple(mark for mark in marks if mark not in words.ids)
        if characters is not None:
            _check(characters, [*marks, DELIMITER], "characters", self._ids)
        models = [model for model in (words, characters) if model is not None]
        self.labels_untold = labels is not None and not all(
            [check_label_set(model, labels) for model in models]
        )
        self._labels, self._words, self._characters = labels, words, characters
        self._hot_words = dict(hot_words or {})
        has_lexicon = words is not None or lexicon is not None
        self._entries = self._lexicon(lexicon, marks) if has_lexicon else None
        self.rules = self._rules()

    def with_options(self, options: BeamOptions) -> Scorer:
        """The same models with other weights."""
        other = copy(self)
        other.options = options
        other.rules = other._rules()
        return other

    def spell(self, word: str) -> list[int] | None:
        """Symbol ids of a word; ``None`` where it has a character that is no symbol."""
        ids = [self._ids.get(character, -1) for character in word]
        delimiter = self._ids[DELIMITER]
        return None if not ids or min(ids) < 0 or delimiter in ids or BLANK_ID in ids else ids

    def _rules(self) -> Rules:
        from slue_ner.decoding.beam.kernel import Hot, Rules

        options, characters = self.options, self._characters
        has_tree = self._entries is not None
        hot, hot_gain = self._hot()
        unknown = options.unknown_score or 0.0
        return Rules(
            kinds=self._kinds(),
            characters=_read_only(
                np.array([_character_id(characters, symbol) for symbol in self.symbols], np.int32)
            ),
            words=_ngrams(self._words),
            spelling=_ngrams(characters),
            tree=self._tree(),
            hot=Hot(*map(_read_only, (hot.next, hot.gain, hot.pending))),
            delimiter=self._ids[DELIMITER],
            start_state=1 + START_ID,
            hot_start=hot.start,
            lm_weight=float(options.lm_weight),
            word_score=float(options.word_score),
            unknown_score=float(unknown),
            entity_gain=math.exp(options.entity_score),
            has_tree=has_tree,
            has_words=self._words is not None,
            has_characters=characters is not None,
            open_vocabulary=options.unknown_score is not None or not has_tree,
            grammar=options.grammar and self._labels is not None,
            hot_gain=hot_gain,
            word_gain=math.exp(options.word_score) * max(1.0, math.exp(unknown)),
        )

    def _kinds(self) -> np.ndarray:
        from slue_ner.decoding.beam.kernel import CLOSES, DELIMITER_KIND, LETTER, NEVER, OPENS

        kinds = np.full(len(self.symbols), LETTER, np.int8)
        kinds[BLANK_ID] = NEVER
        kinds[[id for symbol, id in self._ids.items() if symbol == UNKNOWN]] = NEVER
        kinds[self._ids[DELIMITER]] = DELIMITER_KIND
        if self._labels is not None:
            kinds[[self._ids[mark] for mark in self._labels.symbols.values()]] = OPENS
            kinds[self._ids[END_SYMBOL]] = CLOSES
        return _read_only(kinds)

    def _lexicon(
        self, lexicon: Sequence[str] | None, marks: Sequence[str]
    ) -> tuple[Lexicon, np.ndarray]:
        """The words that may be written, and of each its id in the word model."""
        known = {} if self._words is None else self._words.ids
        wanted = dict.fromkeys(known if lexicon is None else lexicon)
        wanted |= dict.fromkeys(mark for mark in marks if mark not in self.unseen_marks)
        wanted |= dict.fromkeys(word for phrase in self._hot_words for word in phrase.split())
        for word in MARKS:
            wanted.pop(word, None)
        spelled = [(word, self.spell(word)) for word in wanted]
        self.unspelled = tuple(word for word, ids in spelled if ids is None)
        entries = [(word, ids) for word, ids in spelled if ids is not None]
        if all(word in marks for word, _ in entries):
            named = ", ".join(map(repr, self.unspelled[:_NUM_NAMED])) or "none"
            raise ValueError(
                "the lexicon is empty: it has no word that the vocabulary's symbols can spell "
                f"(words: {named}); is it of another language or writing?"
            )
        word_ids = np.array([known.get(word, UNKNOWN_ID) for word, _ in entries])
        if self._words is None:
            word_ids[:] = UNKNOWN_ID + 1  # known, and scored by nothing
        return build_lexicon([ids for _, ids in entries]), word_ids

    def _tree(self) -> Tree:
        from slue_ner.decoding.beam.kernel import Tree

        if self._entries is None:
            none = np.zeros(1, np.int32)
            arrays: list[np.ndarray] = [none, np.zeros(2, np.int32), none, np.ones(1)]
            return Tree(*map(_read_only, arrays))
        tree, word_ids = self._entries
        best = np.zeros(len(word_ids))
        if self._words is not None:
            best = self._words.log_prob[1 + word_ids] * math.log(10.0)
        ahead = np.exp(self.options.lm_weight * tree.best_below(best))
        ahead[0] = 1.0
        ends = np.where(tree.word >= 0, word_ids[tree.word], -1).astype(np.int32)
        arrays = [tree.symbol, tree.first_child, ends, ahead]
        return Tree(*map(_read_only, arrays))

    def _hot(self) -> tuple[HotWords, float]:
        hot_words = self._hot_words
        phrases = []
        for phrase in hot_words:
            spelled = [self.spell(word) for word in phrase.split()]
            if not spelled or None in spelled:
                raise ValueError(
                    f"hot phrase {phrase!r} is empty or has characters that the model cannot "
                    "write; spell it as in the transcripts the model was trained on"
                )
            phrases.append([ids for ids in spelled if ids is not None])
        boosts = [
            self.options.hot_word_boost * times * len(phrase)
            for times, phrase in zip(hot_words.values(), phrases, strict=True)
        ]
        for phrase, boost in zip(hot_words, boosts, strict=True):
            if not 0 <= boost <= _MOST_BOOST:
                raise ValueError(
                    f"hot phrase {phrase!r} adds {boost:g} nats, which must lie between 0 and "
                    f"{_MOST_BOOST:g}; change hot_word_boost or how often it counts"
                )
        hot = build_hot_words(
            phrases, boosts, delimiter=self._ids[DELIMITER], num_symbols=len(self.symbols)
        )
        return hot, math.exp(float(hot.pending.max() + hot.gain.max()))


def _check(model: NgramModel, needed: Sequence[str], unit: str, symbols: Mapping[str, int]) -> None:
    """Raise ``ValueError`` for a model over another unit, or of text with other marks."""
    others = [word for word in model.words if word not in MARKS]
    if model.of_characters != (unit == "characters"):
        is_over = "characters" if model.of_characters else "words"
        raise ValueError(
            f"a language model over {unit} is needed and this one is over {is_over}; train one "
            f"with `slue-ner lm train --unit {unit}`"
        )
    if unit == "characters":
        missing = [symbol for symbol in others if symbol not in symbols]
        if len(missing) > len(others) / 2:
            raise ValueError(
                f"most symbols of the language model ({', '.join(missing[:_NUM_NAMED])}, ...) are "
                "not in the vocabulary; it was trained on other text"
            )
    if needed and END_SYMBOL in needed and END_SYMBOL not in model.ids:
        raise ValueError(
            f"the language model has no {END_SYMBOL!r}, so it was trained on plain text, but the "
            "vocabulary has entity marks; train one with `slue-ner lm train --target tagged`"
        )
    if END_SYMBOL not in needed and END_SYMBOL in model.ids and END_SYMBOL not in symbols:
        raise ValueError(
            f"the language model has the entity mark {END_SYMBOL!r}, which is not in the "
            "vocabulary; train one with `slue-ner lm train --target plain`"
        )


def _character_id(model: NgramModel | None, symbol: str) -> int:
    return UNKNOWN_ID if model is None else model.ids.get(symbol, UNKNOWN_ID)


def _read_only(values: np.ndarray) -> np.ndarray:
    """Read-only and in one piece, as a mapped file is: numba compiles once for both."""
    result = np.ascontiguousarray(values).view(np.ndarray)
    result.flags.writeable = False
    return result


def _ngrams(model: NgramModel | None) -> Ngrams:
    from slue_ner.decoding.beam.kernel import Ngrams

    if model is None:
        none = np.zeros(0, np.int32)
        weights = np.zeros(0, np.float32)
        return Ngrams(*map(_read_only, (none, weights, weights, none, none)))
    arrays = (model.word, model.log_prob, model.back_off, model.suffix, model.first_child)
    return Ngrams(*map(_read_only, arrays))
