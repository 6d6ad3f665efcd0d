"""Word lists, phrase rules and sentence templates of the synthetic corpus, names partitioned.

A rule ``"slot": ["{other} words", ...]`` rewrites ``{slot}``; an upper-case slot is an entity
label. Where a phrase holds brackets, only what is inside them belongs to the entity:
``the [{topic} committee]``.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from slue_ner.core.suggest import nearest

PRESETS = ("easy", "wide")

SLOT = re.compile(r"\{(\w+)\}")

_POOL_SIZE = 3_000
_TRAIN_SHARE, _DEV_SHARE = 0.6, 0.2

Rules = Mapping[str, Sequence[str]]


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


def load_lexicon(preset: str, *, seed: int) -> Lexicon:
    """The lexicon of a preset, its names dealt to train, dev and test.

    In ``easy`` a held-out name is a new combination of words that train names have too; in
    ``wide`` some held-out names are words that occur nowhere else.

    Raises:
        ValueError: naming the known presets.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; {nearest(preset, (*PRESETS, 'words'))}")
    text = files("slue_ner.data").joinpath("lexicon.json").read_text(encoding="utf-8")
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


def expand(rules: Rules, pattern: str, generator: random.Random) -> str:
    """One random rewriting of all slots in ``pattern``."""
    while slot := SLOT.search(pattern):
        choice = generator.choice(rules[slot[1]])
        pattern = pattern[: slot.start()] + choice + pattern[slot.end() :]
    return pattern


def entity_phrase(phrase: str) -> str:
    """The part of a phrase that is the entity: inside the brackets, or all of it."""
    return phrase.partition("[")[2].partition("]")[0] or phrase


def _pool(rules: Rules, pattern: str, generator: random.Random) -> list[str]:
    """All rewritings of ``pattern``, or a sample when there are too many; shuffled."""
    phrases = list(dict.fromkeys(itertools.islice(_rewritings(rules, pattern), _POOL_SIZE + 1)))
    if len(phrases) > _POOL_SIZE:
        phrases = [expand(rules, pattern, generator) for _ in range(_POOL_SIZE)]
        phrases = list(dict.fromkeys(phrases))
    generator.shuffle(phrases)
    return phrases


def _rewritings(rules: Rules, pattern: str) -> Iterator[str]:
    slot = SLOT.search(pattern)
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
