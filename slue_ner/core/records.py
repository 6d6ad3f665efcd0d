"""Records on disk: JSON lines in and out, with errors that name the file and the line.

The schema is a promise (docs/architecture.md): every line's first field is ``"schema": 1``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import (
    Note,
    canonical_prediction,
    canonical_utterance,
    warn,
)
from slue_ner.core.files import atomic_path
from slue_ner.core.lines import json_object, numbered_lines
from slue_ner.core.own_labels import keep_labels_beside, know_labels_beside
from slue_ner.core.suggest import nearest
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Utterance, Word
from slue_ner.core.validation import check_prediction, check_utterance

SCHEMA = 1

Record = TypeVar("Record", Utterance, Prediction)

_WORD_KEYS = ("text", "start", "end", "estimated", "score")
_ENTITY_KEYS = ("label", "phrase", "start_char", "end_char", "words", "start", "end", "score")
_UTTERANCE_KEYS = (
    *("schema", "id", "split", "audio", "num_samples", "sample_rate", "speaker", "text"),
    *("asr_text", "raw_text", "words", "phones", "entities"),
)
_PREDICTION_KEYS = (
    *("schema", "id", "text", "frame_seconds", "num_frames", "entities", "words", "tokens"),
    *("num_repairs", "error"),
)
_OF_UTTERANCE = ("schema", "id", "split", "text")
_OF_PREDICTION = ("schema", "id", "text")
_KINDS = {
    "a manifest": (_UTTERANCE_KEYS, _OF_UTTERANCE),
    "a predictions file": (_PREDICTION_KEYS, _OF_PREDICTION),
}


def read_manifest(
    path: Path,
    *,
    mended: Callable[[Utterance], Utterance] | None = None,
    note: Note = warn,
) -> list[Utterance]:
    """Read and check a manifest; audio paths come back resolved against its folder.

    Texts are brought to canonical form (``core.canonical``), positions with them.

    Args:
        path: of the manifest.
        mended: what is done to an utterance before it is checked.
        note: told what was changed, if anything was.

    Raises:
        ValueError: for a malformed line or an id that occurs twice, as ``file:line: what``.
    """
    path = Path(path)
    know_labels_beside(path)
    folder = path.parent.absolute()
    changes = Changes()

    def parse(record: Json) -> Utterance:
        utterance = canonical_utterance(utterance_from_json(record), changes)
        if mended is not None:
            utterance = mended(utterance)
        check_utterance(utterance)
        if utterance.audio is None:
            return utterance
        return replace(utterance, audio=folder / utterance.audio)

    utterances = _read_records(path, parse)
    changes.tell(str(path), note)
    return utterances


def check_no_manifest(path: Path) -> None:
    """Refuse to write predictions over utterances.

    Raises:
        ValueError: for a file whose first line is one of a manifest.
    """
    if not path.is_file():
        return
    try:
        first = json_object(next((line for _, line in numbered_lines(path)), ""))
    except (ValueError, OSError):
        return
    if set(_OF_UTTERANCE) <= set(first):
        raise ValueError(f"{path} is a manifest and would be overwritten; choose another output")


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically, audio paths relative to its folder."""
    folder = Path(path).parent.absolute()

    def line(utterance: Utterance) -> Json:
        audio = utterance.audio
        if audio is not None and audio.is_absolute():
            audio = Path(os.path.relpath(audio, folder))
        return utterance_to_json(replace(utterance, audio=audio))

    utterances = list(utterances)
    keep_labels_beside(Path(path), (entity for u in utterances for entity in u.entities))
    _write_records(path, (line(utterance) for utterance in utterances))


def read_predictions(path: Path, *, note: Note = warn) -> list[Prediction]:
    """Read and check a predictions file; form, note and errors as in ``read_manifest``."""
    changes = Changes()
    know_labels_beside(Path(path))

    def parse(record: Json) -> Prediction:
        prediction = canonical_prediction(prediction_from_json(record), changes)
        check_prediction(prediction)
        return prediction

    predictions = _read_records(Path(path), parse)
    changes.tell(str(path), note)
    return predictions


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions atomically, one a line."""
    predictions = list(predictions)
    keep_labels_beside(Path(path), (e for p in predictions for e in p.entities or ()))
    _write_records(path, (prediction_to_json(prediction) for prediction in predictions))


def utterance_to_json(utterance: Utterance) -> Json:
    """One manifest line; ``None`` stays ``null`` because it means "not known"."""
    return {
        "schema": SCHEMA,
        "id": utterance.id,
        "split": utterance.split,
        "audio": None if utterance.audio is None else utterance.audio.as_posix(),
        "num_samples": utterance.num_samples,
        "sample_rate": utterance.sample_rate,
        "speaker": utterance.speaker,
        "text": utterance.text,
        "asr_text": utterance.asr_text,
        "raw_text": utterance.raw_text,
        "words": _words_to_json(utterance.words),
        "phones": _words_to_json(utterance.phones),
        "entities": [_entity_to_json(entity) for entity in utterance.entities],
    }


def utterance_from_json(record: Json) -> Utterance:
    """The inverse of ``utterance_to_json``; optional fields may be absent."""
    _check_record(record, "a manifest")
    if record.get("entities", []) is None:
        raise ValueError(
            "field 'entities' is null, not known; a manifest lists them, [] where there is none"
        )
    return Utterance(
        id=typed(record, "id", str),
        split=typed(record, "split", str),
        audio=None if record.get("audio") is None else Path(typed(record, "audio", str)),
        num_samples=optional(record, "num_samples", int),
        sample_rate=record.get("sample_rate", 16_000),
        speaker=optional(record, "speaker", str),
        text=typed(record, "text", str),
        asr_text=optional(record, "asr_text", str),
        raw_text=optional(record, "raw_text", str),
        words=_words_from_json(record, "words"),
        phones=_words_from_json(record, "phones"),
        entities=tuple(map(_entity_from_json, typed({"entities": [], **record}, "entities", list))),
    )


def prediction_to_json(prediction: Prediction) -> Json:
    """One line of a predictions file."""
    tokens, entities = prediction.tokens, prediction.entities
    return {
        "schema": SCHEMA,
        "id": prediction.id,
        "text": prediction.text,
        "frame_seconds": prediction.frame_seconds,
        "num_frames": prediction.num_frames,
        "entities": None if entities is None else [_entity_to_json(e) for e in entities],
        "words": _words_to_json(prediction.words),
        "tokens": None
        if tokens is None
        else [[t.symbol, t.first, t.last, t.score] for t in tokens],
        "num_repairs": prediction.num_repairs,
        "error": prediction.error,
    }


def prediction_from_json(record: Json) -> Prediction:
    """The inverse of ``prediction_to_json``; absent fields are not known, as ``null`` ones."""
    _check_record(record, "a predictions file")
    tokens, entities = optional(record, "tokens", list), optional(record, "entities", list)
    return Prediction(
        id=typed(record, "id", str),
        text=typed(record, "text", str),
        frame_seconds=optional(record, "frame_seconds", float),
        num_frames=optional(record, "num_frames", int),
        entities=None if entities is None else tuple(map(_entity_from_json, entities)),
        words=_words_from_json(record, "words"),
        tokens=None if tokens is None else tuple(map(_token_from_json, tokens)),
        num_repairs=typed({"num_repairs": 0, **record}, "num_repairs", int),
        error=optional(record, "error", str),
    )


def _read_records(path: Path, parse: Callable[[Json], Record]) -> list[Record]:
    records: list[Record] = []
    line_of: dict[str, int] = {}
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            parsed = parse(json_object(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}:{number}: {error}") from error
        if parsed.id in line_of:
            raise ValueError(
                f"{path}:{number}: id {parsed.id!r} was already used on line {line_of[parsed.id]}; "
                "ids must be unique"
            )
        line_of[parsed.id] = number
        records.append(parsed)
    return records


def _write_records(path: Path, records: Iterable[Json]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _check_record(record: Json, kind: str) -> None:
    known, required = _KINDS[kind]
    if kind == "a manifest" and "audio" in record and "schema" not in record:
        raise ValueError(
            "this line has no 'schema'; `slue-ner prepare jsonl FILE data/NAME` makes manifests of "
            "lines of your own"
        )
    check_keys(record, known, required=required, kinds=_KINDS)
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema is {record['schema']!r}, this version reads {SCHEMA}")


def _words_to_json(words: tuple[Word, ...] | None) -> list[Json] | None:
    return None if words is None else [_without_defaults(word) for word in words]


def _without_defaults(word: Word) -> Json:
    record: Json = {"text": word.text, "start": word.start, "end": word.end}
    if word.estimated:
        record["estimated"] = True
    if word.score is not None:
        record["score"] = word.score
    return record


def _words_from_json(record: Json, key: str) -> tuple[Word, ...] | None:
    words = optional(record, key, list)
    if words is None:
        return None
    return tuple(_word_from_json(value_of(word, dict, f"an entry of {key!r}")) for word in words)


def _word_from_json(record: Json) -> Word:
    check_keys(record, _WORD_KEYS, required=("text", "start", "end"))
    return Word(
        text=typed(record, "text", str),
        start=typed(record, "start", float),
        end=typed(record, "end", float),
        estimated=bool(record.get("estimated")),
        score=optional(record, "score", float),
    )


def _token_from_json(token: Any) -> TokenSpan:
    kinds = (str, int, int, float)
    if len(value_of(token, list, "a token")) != len(kinds):
        raise ValueError(f"a token should be [symbol, first, last, score], got {token!r}")
    return TokenSpan(*(value_of(v, kind, "a token") for v, kind in zip(token, kinds, strict=True)))


def _entity_to_json(entity: EntitySpan) -> Json:
    record: Json = {"label": entity.label, "phrase": entity.phrase}
    for key in ("start_char", "end_char"):
        if getattr(entity, key) is not None:
            record[key] = getattr(entity, key)
    record["words"] = None if entity.words is None else list(entity.words)
    record |= {"start": entity.start, "end": entity.end}
    if entity.score is not None:
        record["score"] = entity.score
    return record


def _entity_from_json(record: Any) -> EntitySpan:
    check_keys(value_of(record, dict, "an entity"), _ENTITY_KEYS)
    if "label" not in record or "phrase" not in record:
        raise ValueError("an entity needs the fields 'label' and 'phrase' (null when not known)")
    words = optional(record, "words", list)
    if words is not None and [type(word) for word in words] != [int, int]:
        raise ValueError(f"an entity's words are [first, last) of its record's, got {words}")
    return EntitySpan(
        label=optional(record, "label", str),
        phrase=optional(record, "phrase", str),
        start_char=optional(record, "start_char", int),
        end_char=optional(record, "end_char", int),
        words=None if words is None else (words[0], words[1]),
        start=optional(record, "start", float),
        end=optional(record, "end", float),
        score=optional(record, "score", float),
    )


Json = dict[str, Any]

_LONGEST = 60


def check_keys(
    record: Json,
    known: Collection[str],
    *,
    required: Collection[str] = (),
    kinds: Mapping[str, tuple[Collection[str], Collection[str]]] | None = None,
) -> None:
    """Refuse fields that are unknown or missing.

    Args:
        record: of a file.
        known: names of the fields it may have.
        required: those it must have.
        kinds: known and required fields of all kinds of records, by what holds them.

    Raises:
        ValueError: naming the field, or the kind of record that this is instead.
    """
    missing = [key for key in required if key not in record]
    unknown = [key for key in record if key not in known]
    if not missing and not unknown:
        return
    for kind, (may, must) in (kinds or {}).items():
        if set(must) <= set(record) <= set(may):
            raise ValueError(f"this is a line of {kind}; another file is meant here")
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; {nearest(unknown[0], known)}")
    raise ValueError(f"field {missing[0]!r} is missing")


def typed(record: Json, key: str, kind: type) -> Any:
    """The value of a field that must be there.

    Raises:
        ValueError: unless it is a ``kind``; whole numbers are numbers, NaN and infinity are none.
    """
    return value_of(record.get(key), kind, f"field {key!r}")


def optional(record: Json, key: str, kind: type) -> Any:
    """The value of a field that may be absent or null; errors as of ``typed``."""
    return None if record.get(key) is None else typed(record, key, kind)


def value_of(value: Any, kind: type, what: str) -> Any:
    """A value of a type, named ``what`` in the error; as ``typed``."""
    accepted = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(f"{what} should be {kind.__name__}, got {_shortened(value)}")
    if kind in (int, float) and not _is_sane(value):
        raise ValueError(f"{what} should be a number within reason, got {_shortened(value)}")
    return value


def _is_sane(value: Any) -> bool:
    """Whether arithmetic can be done with it; whole numbers of JSON may have any length."""
    return abs(value) < 1e15 if isinstance(value, int) else math.isfinite(value)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
