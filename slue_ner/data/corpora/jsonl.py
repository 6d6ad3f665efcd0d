"""Anyone's own data: JSON lines with audio, transcript and entities."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.files import sha256
from slue_ner.core.groups import speaker_name
from slue_ner.core.labels import check_label
from slue_ner.core.lines import json_object, lines_or_errors
from slue_ner.core.listing import refuse, shown
from slue_ner.core.records import read_manifest
from slue_ner.core.suggest import nearest
from slue_ner.core.types import EntitySpan, Progress, Utterance, Word
from slue_ner.core.validation import check_utterance, covers_whole_words
from slue_ner.data.corpora.dataset import ASIDE, SPLITS, UNLABELLED, UNTRANSCRIBED, PreparedDataset
from slue_ner.data.corpora.preparation import finish_dataset
from slue_ner.data.corpora.word_fit import TimeChanges, with_entity_times
from slue_ner.text.borders import find_words
from slue_ner.text.normalize import LabeledSpan, asr_form, ner_form
from slue_ner.text.published import Published, plain, published

_KEYS = ("id", "audio", "text", "entities", "speaker", "split", "words")
_ENTITY_KEYS = ("label", "phrase", "start_char", "end_char", "start", "end")
_Times = tuple[float | None, float | None]

_Line = tuple[int, "dict[str, Any] | ValueError"]
"""Its number, and what it holds or why that cannot be read."""

_NO_ENTITIES = (
    "no line says which entities it has: this data can train and score recognition "
    "(task=ctc_plain), not entities"
)


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


def prepare_jsonl(
    source: Path,
    out: Path,
    *,
    text_is_normalized: bool = False,
    lower_case: bool = False,
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Prepare a JSON-lines file; docs/own_data.md says what may stand in it.

    A file whose first line carries ``"schema"`` is read as a finished manifest: its texts,
    times and positions are kept, only the audio is looked at again. Where its words overlap,
    or have not reached its entities, they are treated as in any other file.

    Args:
        source: the file; its audio paths are relative to its folder.
        out: folder for the manifests.
        text_is_normalized: the texts are in SLUE's NER form already.
        lower_case: make capitals small first.
        tune_share: of fine-tune to hold out as tune, unless the file has a tune split; where
            no line says its split, the same share is held out as dev first.
        seed: decides which speakers are held out.
        marks: what becomes of texts that cannot be written as symbols, see ``resolve_marks``.
        listen: decode every file, not only its header.
        progress: called with files done and in all.

    Raises:
        ValueError: as ``file:line: what``, all such lines at once.
    """
    source, out = Path(source), Path(out)
    rules = TextRules(normalized=text_is_normalized, lower_case=lower_case)
    lines = _read_lines(source)
    is_manifest = bool(lines) and isinstance(lines[0][1], dict) and "schema" in lines[0][1]
    if is_manifest:
        if lower_case:
            raise ValueError(
                f"{source} is a manifest: its texts are kept as they are; leave lower_case out"
            )
        utterances, notes = _from_manifest(source)
        hold_out_dev = False
    else:
        changes = Changes()
        utterances, notes = _own_utterances(source, lines, rules, changes, share=tune_share)
        changes.tell(source.name, notes.append)
        hold_out_dev = not _any_has("split", lines)
    splits: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        splits.setdefault(utterance.split, []).append(utterance)
    _check_splits(source, out, splits)
    return finish_dataset(
        out,
        splits,
        source={
            "kind": "jsonl",
            "path": os.path.relpath(source.resolve(), out.resolve()),
            "files": {source.name: sha256(source)},
            "options": {"text_is_normalized": text_is_normalized, "lower_case": lower_case},
        },
        warnings=[
            *notes,
            *_unusual_texts(utterances, kept_as_is=is_manifest or text_is_normalized),
        ],
        own_words=not is_manifest,
        hold_out_dev=hold_out_dev,
        tune_share=tune_share,
        seed=seed,
        marks=marks,
        listen=listen,
        progress=progress,
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
    _check_keys(record, _KEYS, required=("id", "audio"), what="field")
    split = _string(record, "split") if record.get("split") is not None else "fine-tune"
    if split not in SPLITS:
        raise ValueError(f"split {split!r}; {nearest(split, SPLITS)}")
    id_ = _string(record, "id")
    original = "" if record.get("text") is None else _string(record, "text")
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


def _read_lines(source: Path) -> list[_Line]:
    hint = "give a file with one JSON object a line"
    return [
        (number, _parsed(line))
        for number, line in lines_or_errors(source, hint=hint)
        if isinstance(line, ValueError) or line.strip()
    ]


def _parsed(line: str | ValueError) -> dict[str, Any] | ValueError:
    if isinstance(line, ValueError):
        return line
    try:
        return json_object(line)
    except ValueError as error:
        return error


def _any_has(key: str, lines: Sequence[_Line]) -> bool:
    return any(isinstance(line, dict) and line.get(key) is not None for _, line in lines)


def _own_utterances(
    source: Path, lines: Sequence[_Line], rules: TextRules, changes: Changes, *, share: float
) -> tuple[list[Utterance], list[str]]:
    """The utterances of all lines, those without known entities apart, and what to say of it."""
    line_of: dict[str, int] = {}
    utterances: list[Utterance] = []
    unlabelled: list[str] = []
    problems: list[str] = []
    for number, line in lines:
        named = ""
        try:
            if isinstance(line, ValueError):
                raise line
            named = f"id {line.get('id')!r}: "
            utterance = own_utterance(line, folder=source.parent, rules=rules, changes=changes)
            if utterance.id in line_of:
                raise ValueError(
                    f"the id was already used on line {line_of[utterance.id]}; ids must be unique"
                )
        except ValueError as error:
            problems.append(f"{source}:{number}: {named}{error}")
            continue
        line_of[utterance.id] = number
        if line.get("text") is None:
            utterance = replace(utterance, split=UNTRANSCRIBED)
        elif line.get("entities") is None:
            unlabelled.append(utterance.id)
        utterances.append(utterance)
    refuse(problems, f"of {len(lines)} lines")
    transcribed = [u for u in utterances if u.split != UNTRANSCRIBED]
    notes = _held_out(transcribed, lines, share)
    if num_silent := len(utterances) - len(transcribed):
        notes.append(
            f"{num_silent} of {len(utterances)} lines have no text and go to "
            f"{UNTRANSCRIBED}.jsonl, for `slue-ner predict`"
        )
    utterances, untranscribed = transcribed, [u for u in utterances if u.split == UNTRANSCRIBED]
    if len(unlabelled) == len(utterances):
        notes += [_NO_ENTITIES] if utterances else []
    elif unlabelled:
        notes.append(
            f"{len(unlabelled)} of {len(utterances)} lines do not say which entities they have "
            f'and go to {UNLABELLED}.jsonl (write "entities": [] where there is none): '
            f"{shown(unlabelled)}"
        )
        unknown = set(unlabelled)
        utterances = [replace(u, split=UNLABELLED) if u.id in unknown else u for u in utterances]
    return [*utterances, *untranscribed], notes


def _held_out(utterances: Sequence[Utterance], lines: Sequence[_Line], share: float) -> list[str]:
    if share == 0 or _any_has("split", lines) or not utterances:
        return []
    percent = f"{100 * share:g} %"
    notes = [
        f"no line says its split: {percent} are held out as dev, {percent} of the rest as tune"
    ]
    if not _any_has("speaker", lines):
        notes.append("no line names a speaker: one voice may be in several splits")
    return notes


def _from_manifest(source: Path) -> tuple[list[Utterance], list[str]]:
    """A finished manifest, with words that have not reached its entities put to these."""
    every = [TimeChanges()]

    def mended(utterance: Utterance) -> Utterance:
        if utterance.words is None:
            return utterance
        try:
            check_utterance(utterance)
            if all(entity.words is not None for entity in utterance.entities):
                return utterance
        except ValueError:
            pass  # the check comes again after this
        try:
            timed, changes = with_entity_times(utterance)
        except ValueError:
            return utterance
        every[0] += changes
        return timed

    notes: list[str] = []
    utterances = read_manifest(source, mended=mended, note=notes.append)
    return utterances, [*notes, *every[0].notes()]


def _check_splits(source: Path, out: Path, splits: dict[str, list[Utterance]]) -> None:
    for name in splits:
        if name not in (*SPLITS, *ASIDE):
            raise ValueError(
                f"{source}: utterance {splits[name][0].id} is in split {name!r}; "
                f"{nearest(name, SPLITS)}"
            )
    for name in (*SPLITS, *ASIDE):
        if (out / f"{name}.jsonl").resolve() == source.resolve():
            raise ValueError(
                f"{out}: the manifests would overwrite {source}; choose another folder"
            )


def _unusual_texts(utterances: Sequence[Utterance], *, kept_as_is: bool) -> list[str]:
    warnings = []
    capitals = [u.id for u in utterances if u.text != u.text.lower()]
    if capitals:
        way_out = "" if kept_as_is else " (--lower-case makes them small)"
        warnings.append(
            f"{len(capitals)} of {len(utterances)} texts hold capital letters; SLUE is "
            f"lower case{way_out}: {shown(capitals)}"
        )
    digits = [u.id for u in utterances if re.search(r"\d", u.text)]
    if digits:
        warnings.append(
            f"{len(digits)} of {len(utterances)} texts hold digits; speech is spelled out "
            f"in SLUE: {shown(digits)}"
        )
    return warnings


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


_ELSEWHERE = {
    "audio_filepath": "audio",
    "wav": "audio",
    "path": "audio",
    "file": "audio",
    "transcript": "text",
    "transcription": "text",
    "sentence": "text",
    "speaker_id": "speaker",
    "spk": "speaker",
    "utt_id": "id",
    "type": "label",
}
"""What other tools call the fields."""


def _check_keys(
    record: dict[str, Any], known: tuple[str, ...], *, required: tuple[str, ...], what: str
) -> None:
    for key in record:
        if key not in known:
            elsewhere = _ELSEWHERE.get(key)
            hint = f"it is {elsewhere!r} here" if elsewhere in known else nearest(key, known)
            raise ValueError(f"unknown {what} {key!r}; {hint}")
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
