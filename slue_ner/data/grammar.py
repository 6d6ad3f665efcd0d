"""Parliament-like sentences with labelled entities, names of dev and test kept out of training."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from slue_ner.core.labels import RAW_TO_COMBINED
from slue_ner.data.lexicon import PRESETS, SLOT, Lexicon, entity_phrase, expand, load_lexicon
from slue_ner.text.normalize import LabeledSpan, ner_form

MAX_WORDS: Mapping[str, int] = {"easy": 9, "wide": 16}
"""Longest sentence of each preset, in words of the NER form."""

UNSEEN_SHARE = 0.30
"""At least this share of all entities of dev, and of test, are names absent from training."""

_MIN_WORDS = 3
_TARGET_SHARE = 0.32
_HELD_OUT_CHANCE = 0.65
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


def write_sentences(
    num_sentences: Mapping[str, int],
    *,
    preset: str = "easy",
    seed: int = 0,
    max_words: int | None = None,
) -> dict[str, list[Sentence]]:
    """Sentences for every split; all of them are different.

    At least ``UNSEEN_SHARE`` of the entities of dev and test are names (of persons, places,
    organisations and laws) that no sentence of another split contains. What a split holds does
    not depend on how much the splits after it in the order test, dev, tune, fine-tune ask for.

    Args:
        num_sentences: how many per split.
        preset: ``easy`` (compact vocabulary, short) or ``wide`` (thousands of word types).
        seed: the same arguments give the same sentences.
        max_words: longest sentence in words; the preset's own when ``None``.

    Raises:
        ValueError: for an unknown preset or split, or limits that leave too few sentences.
    """
    lexicon = load_lexicon(preset, seed=seed)
    limit = MAX_WORDS[preset] if max_words is None else max_words
    if limit < _MIN_WORDS:
        raise ValueError(f"max_words should be at least {_MIN_WORDS}, got {limit}")
    order = ("test", "dev", "tune", "fine-tune")
    for split, count in num_sentences.items():
        if split not in order:
            raise ValueError(f"unknown split {split!r}; the splits are {', '.join(order)}")
        if count < 0:
            raise ValueError(f"split {split}: the number of sentences is {count}, below 0")
    writer = _Writer(lexicon, limit)
    written = {
        split: writer.write(split, num_sentences[split], random.Random(f"{preset} {seed} {split}"))
        for split in order
        if split in num_sentences
    }
    check_unseen(written)
    return {split: written[split] for split in num_sentences}


def check_unseen(sentences: Mapping[str, Sequence[Sentence]]) -> None:
    """Check what the corpus promises about its dev and test splits.

    Raises:
        ValueError: naming the split, for a sentence that training has too, or too few
            entities with a phrase that training does not have.
    """
    training = [s for split in ("fine-tune", "tune") for s in sentences.get(split, ())]
    known_texts = {sentence.text for sentence in training}
    known_phrases = {
        sentence.text[start : start + length]
        for sentence in training
        for _, start, length in sentence.spans
    }
    for split in ("dev", "test"):
        num_entities = num_unseen = 0
        for sentence in sentences.get(split, ()):
            if sentence.text in known_texts:
                raise ValueError(f"split {split} repeats a training sentence: {sentence.text!r}")
            num_entities += len(sentence.spans)
            num_unseen += sum(
                sentence.text[start : start + length] not in known_phrases
                for _, start, length in sentence.spans
            )
        if num_unseen < UNSEEN_SHARE * num_entities:
            raise ValueError(
                f"split {split}: {num_unseen} of {num_entities} entities are unseen in training, "
                f"fewer than {UNSEEN_SHARE:.0%}"
            )


class _Writer:
    """Draws sentences and remembers them, so that none is written twice."""

    def __init__(self, lexicon: Lexicon, max_words: int) -> None:
        self.lexicon = lexicon
        self.max_words = max_words
        self.written: set[str] = set()
        self.held_out = {
            part: {
                entity_phrase(phrase)
                for pool in lexicon.names.values()
                for phrases in getattr(pool, part)
                for phrase in phrases
            }
            for part in ("dev", "test")
        }
        self.longest_name = max(
            (len(name.split()) for names in self.held_out.values() for name in names), default=0
        )
        groups: dict[int, list[str]] = {}
        for template in lexicon.templates:
            groups.setdefault(len(_labels(template)), []).append(template)
        self.groups = groups
        self.weights = {
            count: [_weight(template) for template in templates]
            for count, templates in groups.items()
        }

    def write(self, split: str, num_sentences: int, generator: random.Random) -> list[Sentence]:
        part = split if split in self.held_out else "train"
        sentences: list[Sentence] = []
        num_entities = num_unseen = tries = 0
        while len(sentences) < num_sentences:
            tries += 1
            if tries > _MOST_TRIES:
                raise ValueError(
                    f"split {split}: cannot make {num_sentences} different sentences of "
                    f"{_MIN_WORDS} to {self.max_words} words, found {len(sentences)}; ask for "
                    f"fewer, raise max_words, or use another preset of {', '.join(PRESETS)}"
                )
            sentence = self.draw(part, generator)
            entities = num_entities + len(sentence.spans)
            unseen = num_unseen + sentence.num_unseen
            if part != "train" and unseen < _TARGET_SHARE * entities:
                continue
            if not self.fits(sentence, part):
                continue
            self.written.add(sentence.text)
            sentences.append(sentence)
            num_entities, num_unseen, tries = entities, unseen, 0
        return sentences

    def draw(self, part: str, generator: random.Random) -> Sentence:
        (count,) = generator.choices(range(len(_ENTITY_WEIGHTS)), _ENTITY_WEIGHTS)
        (template,) = generator.choices(self.groups[count], self.weights[count])
        text, position = "", 0
        spans: list[LabeledSpan] = []
        num_unseen = 0
        for slot in SLOT.finditer(template):
            text += template[position : slot.start()]
            position = slot.end()
            name = slot[1]
            if not name.isupper():
                text += expand(self.lexicon.rules, slot[0], generator)
                continue
            phrase, unseen = self.draw_entity(name, part, generator)
            num_unseen += unseen
            inside = entity_phrase(phrase)
            start = len(text) + max(0, phrase.find("["))
            text += phrase.replace("[", "").replace("]", "")
            spans.append((name, start, len(inside)))
        return Sentence(text + template[position:], tuple(spans), num_unseen)

    def draw_entity(self, label: str, part: str, generator: random.Random) -> tuple[str, bool]:
        pool = self.lexicon.names.get(label)
        if pool is None:
            return expand(self.lexicon.rules, f"{{{label}}}", generator), False
        held_out = () if part == "train" else getattr(pool, part)
        unseen = bool(held_out) and generator.random() < _HELD_OUT_CHANCE
        return generator.choice(generator.choice(held_out if unseen else pool.train)), unseen

    def fits(self, sentence: Sentence, part: str) -> bool:
        text, entities = ner_form(sentence.text, sentence.spans)
        words = text.split()
        phrases = [entity.phrase for entity in entities]
        return (
            _MIN_WORDS <= len(words) <= self.max_words
            and sentence.text not in self.written
            and len(set(phrases)) == len(phrases)
            and all(word != after for word, after in pairwise(words))
            and not self.leaks(words, part)
        )

    def leaks(self, words: Sequence[str], part: str) -> bool:
        """Whether a name that is held out for another split is said."""
        foreign = [names for split, names in self.held_out.items() if split != part]
        said = {
            " ".join(words[first : first + length])
            for length in range(1, self.longest_name + 1)
            for first in range(len(words) - length + 1)
        }
        return any(not names.isdisjoint(said) for names in foreign)


def _labels(template: str) -> list[str]:
    return [slot for slot in SLOT.findall(template) if slot.isupper()]


def _weight(template: str) -> float:
    """Templates with a label that SLUE drops are rare, as they are in SLUE."""
    dropped = any(RAW_TO_COMBINED[label] is None for label in _labels(template))
    return _RARE_WEIGHT if dropped else 1.0
