"""One line of someone's own data, read into an utterance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.groups import speaker_name
from slue_ner.core.labels import check_label
from slue_ner.core.suggest import nearest
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.core.validation import covers_whole_words
from slue_ner.data.dataset import SPLITS
from slue_ner.text.borders import find_words
from slue_ner.text.normalize import LabeledSpan, asr_form, ner_form
from slue_ner.text.published import Published, plain, published

_KEYS = ("id", "audio", "text", "entities", "speaker", "split", "words")
_Times = tuple[float | None, float | None]
_ENTITY_KEYS = ("label", "phrase", "start_char", "end_char", "start", "end")


@dataclass(frozen=True, slots=True)
class TextRules:
    """What is done to the transcripts.

    Attributes:
        normalized: they are in SLUE's NER form already (``eu 's``); nothing is done.
        lower_case: capitals are made small first, for data that is published with them.
    """

    normalized: bool = False
    lower_case: bool = False

    def __post_init__(self) -> None:
        if self.normalized and self.lower_case:
            raise ValueError(
                "text_is_normalized and lower_case exclude each other; "
                "lower the texts before or let prepare normalize them"
            )


def own_utterance(
    record: dict[str, Any],
    *,
    folder: Path,
    rules: TextRules,
    changes: Changes | None = None,
) -> Utterance:
    """Read ``{"id", "audio", "text", "entities", ...}``.

    Args:
        record: an entity is a ``label`` with ``start_char`` and ``end_char``, or with a
            ``phrase``, which is searched as whole words from the end of the entity before;
            ``start`` and ``end`` in seconds are optional. So are ``entities``, ``speaker``,
            ``split`` and ``words`` (``{"text", "start", "end"}`` each); docs/own_data.md.
        folder: of the file, which audio paths are relative to.
        rules: what is done to the text.
        changes: counts what bringing the text to canonical form changes.

    Raises:
        ValueError: naming the field, what it holds and what it should hold.
    """
    _check_keys(record, _KEYS, required=("id", "audio", "text"), what="field")
    split = _string(record, "split") if record.get("split") is not None else "fine-tune"
    if split not in SPLITS:
        raise ValueError(f"split {split!r}; {nearest(split, SPLITS)}")
    id_, original = _string(record, "id"), _string(record, "text")
    if not id_:
        raise ValueError("field 'id' is empty; give each line an id of its own")
    speaker = _string(record, "speaker") if record.get("speaker") is not None else None
    changes = Changes() if changes is None else changes
    read = published(original, where=id_, changes=changes, lower=rules.lower_case)
    text = read.text
    entities_of = record.get("entities")
    spans, times = _located([] if entities_of is None else entities_of, original, read, rules)
    if rules.normalized:
        normalized, asr_text = text, None
        entities = tuple(
            EntitySpan(label, text[start : start + length], start, start + length)
            for label, start, length in spans
        )
    else:
        normalized, entities = ner_form(text, spans, whole_words=True)
        asr_text = asr_form(text)
    return Utterance(
        id=id_,
        split=split,
        audio=(folder / _string(record, "audio")).absolute(),
        num_samples=None,
        sample_rate=16_000,
        text=normalized,
        speaker=speaker_name(speaker),
        asr_text=asr_text,
        raw_text=original,
        words=_words(record.get("words")),
        entities=tuple(
            replace(entity, start=start, end=end)
            for entity, (start, end) in zip(entities, times, strict=True)
        ),
    )


def _located(
    entities: Any, original: str, read: Published, rules: TextRules
) -> tuple[list[LabeledSpan], list[_Times]]:
    """Spans in the text that is read on, and times, of the entities in order of appearance."""
    if not isinstance(entities, list):
        raise ValueError(f"field 'entities' should be a list, got {entities!r}")
    located: list[tuple[LabeledSpan, _Times]] = []
    position = 0
    for entity in entities:
        if not isinstance(entity, dict):
            raise ValueError(f"an entity should be an object with a label, got {entity!r}")
        _check_keys(entity, _ENTITY_KEYS, required=("label",), what="entity field")
        label = _string(entity, "label")
        check_label(label)
        start, end = _position(entity, original, read, position, rules)
        position = end
        times = (_seconds(entity, "start"), _seconds(entity, "end"))
        located.append(((label, start, end - start), times))
    located.sort(key=lambda item: item[0][1])
    return [span for span, _ in located], [times for _, times in located]


def _position(
    entity: dict[str, Any], original: str, read: Published, position: int, rules: TextRules
) -> tuple[int, int]:
    start, end, phrase = (entity.get(key) for key in ("start_char", "end_char", "phrase"))
    if start is None and end is None:
        if not isinstance(phrase, str) or not plain(phrase):
            raise ValueError(
                f"entity {entity['label']} needs start_char and end_char, or a phrase of the text"
            )
        return _search(phrase, read.text, position, rules)
    if type(start) is not int or type(end) is not int:
        raise ValueError(
            f"entity {entity['label']}: start_char and end_char should be whole numbers, "
            f"got {start!r} and {end!r}"
        )
    if not 0 <= start < end <= len(original):
        raise ValueError(
            f"entity {entity['label']} covers characters [{start}, {end}) "
            f"but the text has {len(original)} characters"
        )
    there = original[start:end]
    if phrase is not None and plain(str(phrase)).casefold() != plain(there).casefold():
        raise ValueError(
            f"entity {entity['label']} {phrase!r} is not what the text has at "
            f"[{start}, {end}): {there!r}"
        )
    start, end = read.moved(start, end)
    if start == end:
        raise ValueError(f"entity {entity['label']} covers {there!r}, which holds no word")
    if rules.normalized and not covers_whole_words(read.text, start, end):
        raise ValueError(
            f"entity {entity['label']} {there!r} does not cover whole words of the text, which is "
            "said to be in the NER form; cut the words there, or leave text_is_normalized out"
        )
    return start, end


def _search(phrase: str, text: str, position: int, rules: TextRules) -> tuple[int, int]:
    phrase = plain(phrase, lower=rules.lower_case)
    found = find_words(phrase, text, position)
    if found is None and not find_words(phrase, text, 0) and phrase.casefold() in text.casefold():
        raise ValueError(
            f"phrase {phrase!r} stands in the text only inside a longer word; let the entity cover "
            "whole words, or write spaces between the words of the text"
        )
    if found is None:
        reason = (
            "stands before the entity listed ahead of it; list entities from left to right"
            if find_words(phrase, text, 0)
            else "is not in the text as whole words"
        )
        raise ValueError(f"phrase {phrase!r} {reason}, or give start_char and end_char")
    return found


def _words(words: Any) -> tuple[Word, ...] | None:
    if words is None:
        return None
    if not isinstance(words, list):
        raise ValueError(f"field 'words' should be a list, got {words!r}")
    read = []
    for word in words:
        if not isinstance(word, dict):
            raise ValueError(f"a word should be an object with text, start and end, got {word!r}")
        keys = ("text", "start", "end")
        _check_keys(word, keys, required=keys, what="word field")
        start, end = _seconds(word, "start"), _seconds(word, "end")
        if start is None or end is None:
            raise ValueError(f"word {word['text']!r} needs a start and an end in seconds")
        if not 0 <= start <= end:
            raise ValueError(
                f"word {word['text']!r} lasts from {start:g} to {end:g} s; "
                "expected 0 <= start <= end"
            )
        read.append(Word(plain(_string(word, "text")), start, end))
    return tuple(read)


def _check_keys(
    record: dict[str, Any], known: tuple[str, ...], *, required: tuple[str, ...], what: str
) -> None:
    for key in record:
        if key not in known:
            raise ValueError(f"unknown {what} {key!r}; {nearest(key, known)}")
    for key in required:
        if key not in record:
            raise ValueError(f"{what} {key!r} is missing")


def _string(record: dict[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise ValueError(f"field {key!r} should be a string, got {value!r}")
    return value


def _seconds(record: dict[str, Any], key: str) -> float | None:
    value = record.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"field {key!r} should be a number of seconds, got {value!r}")
    return value
