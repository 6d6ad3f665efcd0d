"""Parliament-like sentences with labelled entities, drawn from the templates of a lexicon.

The lexicon has word lists, phrase rules and sentence templates. A rule
``"slot": ["{other} words", ...]`` rewrites ``{slot}``; an upper-case slot is an entity label.
Where a phrase holds brackets, only what is inside them belongs to the entity:
``the [{topic} committee]``. Names are dealt to train, dev and test, so that those of dev and test
are kept out of training.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from slue_ner.core.labels import RAW_TO_COMBINED
from slue_ner.core.suggest import nearest
from slue_ner.data.corpora.dataset import SPLITS
from slue_ner.text.normalize import LabeledSpan, ner_form

MAX_WORDS: Mapping[str, int] = {"easy": 9, "wide": 16}
"""Longest sentence of each preset, in words of the NER form."""

UNSEEN_SHARE = 0.30
"""At least this share of all entities of dev, and of test, are names absent from training."""

_PRESETS = ("easy", "wide")
_MIN_WORDS = 3
_NAME_LABELS = ("PERSON", "PLACE", "ORG", "LAW")
_SLOT = re.compile(r"\{(\w+)\}")
_POOL_SIZE = 3_000
_TRAIN_SHARE, _DEV_SHARE = 0.6, 0.2
_TARGET_SHARE = 0.32
_HELD_OUT_CHANCE = 0.5
_ENTITY_WEIGHTS = (0.25, 0.42, 0.25, 0.08)
_RARE_WEIGHT = 0.15
_MOST_TRIES = 2_000

Rules = Mapping[str, Sequence[str]]


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


@dataclass(frozen=True, slots=True)
class NamePool:
    """Names of one label as lists of phrases, one list per pattern; no phrase is in two parts.

    Attributes:
        train: may occur anywhere.
        dev, test: occur in that split alone.
    """

    train: tuple[tuple[str, ...], ...]
    dev: tuple[tuple[str, ...], ...]
    test: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What sentences are made of.

    Attributes:
        rules: rewrites for every slot that is not a name.
        names: by raw label; the space that dev and test hold phrases out of.
        templates: sentences with slots.
    """

    rules: Rules
    names: Mapping[str, NamePool]
    templates: tuple[str, ...]


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
    order = tuple(reversed(SPLITS))
    for split, count in num_sentences.items():
        if split not in order:
            raise ValueError(f"unknown split {split!r}; the splits are {', '.join(order)}")
        if count < 0:
            raise ValueError(f"split {split}: the number of sentences is {count}, below 0")
    writer = _SentenceWriter(lexicon, limit)
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
            names that training does not have.
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
                RAW_TO_COMBINED[label] in _NAME_LABELS
                and sentence.text[start : start + length] not in known_phrases
                for label, start, length in sentence.spans
            )
        if num_unseen < UNSEEN_SHARE * num_entities:
            raise ValueError(
                f"split {split}: {num_unseen} of {num_entities} entities are names unseen in "
                f"training, fewer than {UNSEEN_SHARE:.0%}; write more sentences or try another seed"
            )


def load_lexicon(preset: str, *, seed: int) -> Lexicon:
    """The lexicon of a preset, its names dealt to train, dev and test.

    In ``easy`` a held-out name is a new combination of words that train names have too; in
    ``wide`` some held-out names are words that occur nowhere else.

    Raises:
        ValueError: naming the known presets.
    """
    if preset not in _PRESETS:
        raise ValueError(f"unknown preset {preset!r}; {nearest(preset, (*_PRESETS, 'words'))}")
    text = files("slue_ner.data.synthesis").joinpath("lexicon.json").read_text(encoding="utf-8")
    record = json.loads(text)[preset]
    generator = random.Random(f"lexicon {preset} {seed}")
    rules: Rules = record["rules"]
    seen: set[str] = set()
    names: dict[str, NamePool] = {}
    for label in record["names"]:
        patterns = []
        for pattern in rules[label]:
            phrases = [p for p in _pool(rules, pattern, generator) if entity_phrase(p) not in seen]
            seen.update(map(entity_phrase, phrases))
            patterns.append(phrases)
        names[label] = _deal(patterns, generator, known_words=record["known_words"])
    return Lexicon(rules, names, tuple(record["templates"]))


def entity_phrase(phrase: str) -> str:
    """The part of a phrase that is the entity: inside the brackets, or all of it."""
    return phrase.partition("[")[2].partition("]")[0] or phrase


class _SentenceWriter:
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
                    f"{_MIN_WORDS} to {self._max_words} words, found {len(sentences)}; ask for "
                    f"fewer, raise max_words, or use another preset of {', '.join(_PRESETS)}"
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
        for slot in _SLOT.finditer(template):
            text += template[position : slot.start()]
            position = slot.end()
            name = slot[1]
            if not name.isupper():
                text += _expand(self._lexicon.rules, slot[0], generator)
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
            return _expand(self._lexicon.rules, f"{{{label}}}", generator), False
        held_out = () if part == "train" else getattr(pool, part)
        unseen = bool(held_out) and generator.random() < _HELD_OUT_CHANCE
        return generator.choice(generator.choice(held_out if unseen else pool.train)), unseen

    def _fits(self, sentence: Sentence, part: str) -> bool:
        text, entities = ner_form(sentence.text, sentence.spans)
        words = text.split()
        phrases = [entity.phrase for entity in entities]
        return (
            _MIN_WORDS <= len(words) <= self._max_words
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
    return [slot for slot in _SLOT.findall(template) if slot.isupper()]


def _weight(template: str) -> float:
    """Templates with a label that SLUE drops are rare, as they are in SLUE."""
    dropped = any(RAW_TO_COMBINED[label] is None for label in _labels(template))
    return _RARE_WEIGHT if dropped else 1.0


def _expand(rules: Rules, pattern: str, generator: random.Random) -> str:
    """One random rewriting of all slots in ``pattern``."""
    while slot := _SLOT.search(pattern):
        choice = generator.choice(rules[slot[1]])
        pattern = pattern[: slot.start()] + choice + pattern[slot.end() :]
    return pattern


def _pool(rules: Rules, pattern: str, generator: random.Random) -> list[str]:
    """All rewritings of ``pattern``, or a sample when there are too many; shuffled."""
    phrases = list(dict.fromkeys(itertools.islice(_rewritings(rules, pattern), _POOL_SIZE + 1)))
    if len(phrases) > _POOL_SIZE:
        phrases = [_expand(rules, pattern, generator) for _ in range(_POOL_SIZE)]
        phrases = list(dict.fromkeys(phrases))
    generator.shuffle(phrases)
    return phrases


def _rewritings(rules: Rules, pattern: str) -> Iterator[str]:
    slot = _SLOT.search(pattern)
    if slot is None:
        yield pattern
        return
    for choice in rules[slot[1]]:
        yield from _rewritings(rules, pattern[: slot.start()] + choice + pattern[slot.end() :])


def _deal(
    patterns: Sequence[Sequence[str]], generator: random.Random, *, known_words: bool
) -> NamePool:
    train: list[list[str]] = []
    held_out: list[list[str]] = []
    for phrases in patterns:
        count = max(1, round(_TRAIN_SHARE * len(phrases))) if phrases else 0
        train.append(list(phrases[:count]))
        held_out.append(list(phrases[count:]))
    if known_words:
        known = {word for phrases in train for name in phrases for word in name.split()}
        for index, phrases in enumerate(held_out):
            unfit = [n for n in phrases if " " not in n or not known.issuperset(n.split())]
            train[index] += unfit
            held_out[index] = [name for name in phrases if name not in unfit]
            known.update(word for name in unfit for word in name.split())
    dev: list[list[str]] = []
    test: list[list[str]] = []
    for phrases in held_out:
        generator.shuffle(phrases)
        count = round(len(phrases) * _DEV_SHARE / (1 - _TRAIN_SHARE))
        dev.append(phrases[:count])
        test.append(phrases[count:])
    return NamePool(*(tuple(tuple(p) for p in part if p) for part in (train, dev, test)))
