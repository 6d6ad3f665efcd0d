"""Parliament-like sentences with labelled entities, drawn from a lexicon's templates."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from slue_ner.core.labels import RAW_TO_COMBINED
from slue_ner.data.lexicon import PRESETS, SLOT, Lexicon, entity_phrase, expand
from slue_ner.text.normalize import LabeledSpan, ner_form

MIN_WORDS = 3

UNSEEN_SHARE = 0.30
"""At least this share of all entities of dev, and of test, are names absent from training."""

_TARGET_SHARE = 0.32
_HELD_OUT_CHANCE = 0.5
_ENTITY_WEIGHTS = (0.25, 0.42, 0.25, 0.08)
_RARE_WEIGHT = 0.15
_MOST_TRIES = 2_000


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it would be published, and its entities.

    Attributes:
        text: lower case, apostrophes attached (``anna weber's report``).
        spans: raw label, start and length in ``text``, in order.
        num_unseen: entities whose phrase is held out of training.
    """

    text: str
    spans: tuple[LabeledSpan, ...]
    num_unseen: int = 0


class SentenceWriter:
    """Draws sentences from a lexicon and remembers them, so that none is written twice.

    Args:
        lexicon: names, rules and templates.
        max_words: longest sentence, in words of the NER form.
    """

    def __init__(self, lexicon: Lexicon, max_words: int) -> None:
        self._lexicon = lexicon
        self._max_words = max_words
        self._written: set[str] = set()
        self._held_out = {
            part: {
                entity_phrase(phrase)
                for pool in lexicon.names.values()
                for phrases in getattr(pool, part)
                for phrase in phrases
            }
            for part in ("dev", "test")
        }
        self._longest_name = max(
            (len(name.split()) for names in self._held_out.values() for name in names), default=0
        )
        groups: dict[int, list[str]] = {}
        for template in lexicon.templates:
            groups.setdefault(len(_labels(template)), []).append(template)
        self._groups = groups
        self._weights = {
            count: [_weight(template) for template in templates]
            for count, templates in groups.items()
        }

    def write(self, split: str, num_sentences: int, generator: random.Random) -> list[Sentence]:
        """Write ``num_sentences`` that differ from all written before.

        In dev and test at least ``UNSEEN_SHARE`` of the entities are held-out names, after
        every sentence.

        Raises:
            ValueError: when no more can be found.
        """
        part = split if split in self._held_out else "train"
        sentences: list[Sentence] = []
        num_entities = num_unseen = tries = 0
        while len(sentences) < num_sentences:
            tries += 1
            if tries > _MOST_TRIES:
                raise ValueError(
                    f"split {split}: cannot make {num_sentences} different sentences of "
                    f"{MIN_WORDS} to {self._max_words} words, found {len(sentences)}; ask for "
                    f"fewer, raise max_words, or use another preset of {', '.join(PRESETS)}"
                )
            sentence = self._draw(part, generator)
            entities = num_entities + len(sentence.spans)
            unseen = num_unseen + sentence.num_unseen
            if part != "train" and unseen < _TARGET_SHARE * entities:
                continue
            if not self._fits(sentence, part):
                continue
            self._written.add(sentence.text)
            sentences.append(sentence)
            num_entities, num_unseen, tries = entities, unseen, 0
        return sentences

    def _draw(self, part: str, generator: random.Random) -> Sentence:
        (count,) = generator.choices(range(len(_ENTITY_WEIGHTS)), _ENTITY_WEIGHTS)
        (template,) = generator.choices(self._groups[count], self._weights[count])
        text, position = "", 0
        spans: list[LabeledSpan] = []
        num_unseen = 0
        for slot in SLOT.finditer(template):
            text += template[position : slot.start()]
            position = slot.end()
            name = slot[1]
            if not name.isupper():
                text += expand(self._lexicon.rules, slot[0], generator)
                continue
            phrase, unseen = self._draw_entity(name, part, generator)
            num_unseen += unseen
            inside = entity_phrase(phrase)
            start = len(text) + max(0, phrase.find("["))
            text += phrase.replace("[", "").replace("]", "")
            spans.append((name, start, len(inside)))
        return Sentence(text + template[position:], tuple(spans), num_unseen)

    def _draw_entity(self, label: str, part: str, generator: random.Random) -> tuple[str, bool]:
        pool = self._lexicon.names.get(label)
        if pool is None:
            return expand(self._lexicon.rules, f"{{{label}}}", generator), False
        held_out = () if part == "train" else getattr(pool, part)
        unseen = bool(held_out) and generator.random() < _HELD_OUT_CHANCE
        return generator.choice(generator.choice(held_out if unseen else pool.train)), unseen

    def _fits(self, sentence: Sentence, part: str) -> bool:
        text, entities = ner_form(sentence.text, sentence.spans)
        words = text.split()
        phrases = [entity.phrase for entity in entities]
        return (
            MIN_WORDS <= len(words) <= self._max_words
            and sentence.text not in self._written
            and len(set(phrases)) == len(phrases)
            and not _stutters(words)
            and not self._leaks(words, part)
        )

    def _leaks(self, words: Sequence[str], part: str) -> bool:
        """Whether a name that is held out for another split is said."""
        foreign = [names for split, names in self._held_out.items() if split != part]
        said = {
            " ".join(words[first : first + length])
            for length in range(1, self._longest_name + 1)
            for first in range(len(words) - length + 1)
        }
        return any(not names.isdisjoint(said) for names in foreign)


def _stutters(words: Sequence[str]) -> bool:
    """Whether a word comes back at once, or after one other: ``jobs and jobs``."""
    return any(word in words[max(0, i - 2) : i] for i, word in enumerate(words))


def _labels(template: str) -> list[str]:
    return [slot for slot in SLOT.findall(template) if slot.isupper()]


def _weight(template: str) -> float:
    """Templates with a label that SLUE drops are rare, as they are in SLUE."""
    dropped = any(RAW_TO_COMBINED[label] is None for label in _labels(template))
    return _RARE_WEIGHT if dropped else 1.0
