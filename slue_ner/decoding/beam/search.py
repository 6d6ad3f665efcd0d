"""Beam search over CTC emissions, with a language model and a grammar of entities.

A hypothesis is a sequence of symbols ``y``; its score is, in nats,

    log P(y | audio)                          all CTC paths that collapse to y, or the best of them
    + lm_weight * log P(words of y)           with the end of the sentence
    + word_score * number of words            marks of entities are words, too
    + entity_score * number of type symbols
    + unknown_score * number of unknown words
    + boosts of the hot words in y            a phrase counts inside a longer one, too

``log P(words)`` depends on what there is:

- a word model: scores every word, an unknown one as ``<unk>``. What a character model says of the
  spelling of unknown words and the delimiter behind them, after all that stands before, is added;
- a character model alone: scores every symbol of the words and a delimiter behind each;
- none: 0.

A word is unknown if it is not in the lexicon, or if there is a word model that never saw it, as can
be with words of a lexicon of its own and of hot phrases. In a closed vocabulary, that is where
``unknown_score`` is ``None``, only words of the lexicon may be written. Without a word model and a
lexicon no word is unknown.

All but the first line depends on the words only: delimiters that are doubled or lead write no word
and cost nothing but their emission, and a last word without a delimiter counts as ended. A blank
that is less probable than 1e-30 counts as that, so that something can always be found. Scores are
exact for what the beam returns, up to paths that went through prefixes it had dropped.

Source: prefix search of arXiv:1408.2873, with the look-ahead of a lexicon tree (Ortmanns et al.,
1996), of which the score of a whole hypothesis holds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from slue_ner.core.types import TokenSpan
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.ctc import BLANK_ID
from slue_ner.decoding.forced_alignment import align


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sequence of symbols that the search found.

    Attributes:
        symbols: ids, collapsed, without blanks.
        score: see the head of this file, nats.
        whole: false where no hypothesis in the beam could end: this is the best one, cut behind
            the last place where it could, and ``score`` is that of what was cut.
    """

    symbols: tuple[int, ...]
    score: float
    whole: bool = True


class BeamDecoder:
    """Searches emissions; may be used by many threads at once.

    Args:
        scorer: vocabulary, language models, lexicon and hot words, and how they weigh.

    Attributes:
        num_truncated: utterances of ``decode_all`` whose hypothesis was not ``whole``.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.num_truncated = 0
        self.scorer = scorer
        self.options = scorer.options

    def with_options(self, options: BeamOptions) -> BeamDecoder:
        """The same models with other weights."""
        return BeamDecoder(self.scorer.with_options(options))

    def decode(self, log_probs: np.ndarray, *, num_best: int = 1) -> list[Hypothesis]:
        """The best hypotheses, best first: at least 1, at most ``num_best``.

        Asked for one, the search drops prefixes that differ from a better one only in what no
        model sees any more, which makes room in the beam. Asked for more, it keeps them; a beam
        finds less far then. With ``merge=max`` what is dropped could not have become the best one;
        with ``sum`` paths through it may be missed, and rarely the best one, too.

        Args:
            log_probs: ``(T, V)``, natural logarithms.
            num_best: how many to return.

        Raises:
            ValueError: for emissions over another number of symbols, with NaN or infinity.
        """
        from slue_ner.decoding.beam.kernel import (
            GRAMMAR,
            OUTSIDE,
            PARENT,
            SYMBOL,
            new_nodes,
            search,
        )

        scorer, options = self.scorer, self.options
        if log_probs.ndim != 2 or log_probs.shape[1] != len(scorer.symbols):
            raise ValueError(
                f"emissions have shape {log_probs.shape} but the vocabulary has "
                f"{len(scorer.symbols)} symbols; they belong to different models"
            )
        with np.errstate(over="ignore"):
            probs = np.exp(log_probs, dtype=np.float64)
        if not np.isfinite(probs).all():
            raise ValueError("emissions hold NaN or infinity; the model that made them is broken")
        ints, floats = new_nodes(64 + options.beam_size + 4 * len(probs), scorer.rules)
        nodes_table, nodes, scores, ends = search(
            probs,
            scorer.rules,
            ints,
            floats,
            BLANK_ID,
            options.beam_size,
            math.exp(-options.beam_threshold),
            options.num_symbols,
            options.blank_threshold,
            options.merge == "sum",
            num_best == 1,
        )

        def spelled(node: int) -> tuple[int, ...]:
            symbols: list[int] = []
            while node > 0:
                symbols.append(int(nodes_table[node, SYMBOL]))
                node = int(nodes_table[node, PARENT])
            return tuple(reversed(symbols))

        totals = scores + ends
        best = [int(i) for i in np.argsort(-totals, kind="stable") if totals[i] > -math.inf]
        if best:
            return [Hypothesis(spelled(nodes[i]), float(totals[i])) for i in best[:num_best]]
        index = int(np.argmax(scores))
        node = int(nodes[index])
        delimiter = scorer.rules.delimiter
        while node > 0 and (
            nodes_table[node, SYMBOL] != delimiter
            or (options.grammar and nodes_table[node, GRAMMAR] != OUTSIDE)
        ):
            node = int(nodes_table[node, PARENT])
        return [Hypothesis(spelled(node), float(scores[index]), whole=False)]

    def tokens(self, log_probs: np.ndarray, hypothesis: Hypothesis) -> tuple[TokenSpan, ...]:
        """Frames that each symbol of a hypothesis fills on its best path, with its mean posterior.

        Args:
            log_probs: ``(T, V)``, those that were searched.
            hypothesis: what was found.
        """
        floor = np.maximum(log_probs, -1e4)  # a path exists whatever was rounded to nothing
        path = align(floor, hypothesis.symbols)
        spans = zip(
            hypothesis.symbols,
            path.firsts.tolist(),
            path.lasts.tolist(),
            path.scores.tolist(),
            strict=True,
        )
        return tuple(TokenSpan(self.scorer.symbols[s], *place) for s, *place in spans)

    def decode_all(
        self, emissions: Iterable[np.ndarray], *, threads: int = 1
    ) -> Iterator[tuple[TokenSpan, ...]]:
        """The best hypothesis of each utterance as token spans, in their order.

        Args:
            emissions: ``(T, V)`` of each utterance.
            threads: utterances searched at once.
        """

        def one(log_probs: np.ndarray) -> tuple[bool, tuple[TokenSpan, ...]]:
            (best,) = self.decode(log_probs)
            return best.whole, self.tokens(log_probs, best)

        with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
            for whole, tokens in (map if pool is None else pool.map)(one, emissions):
                self.num_truncated += not whole
                yield tokens
