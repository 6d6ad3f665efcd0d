"""The score of a system: everything that references and predictions alone can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slue_ner.core.groups import known_speaker
from slue_ner.core.listing import shown
from slue_ner.core.records import SCHEMA
from slue_ner.core.types import Prediction, Utterance
from slue_ner.evaluation.bootstrap import BootstrapOptions, Intervals, clusters, make_intervals
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import NUM_NAMED, LabelChoice, check_choice, join, usual_choice
from slue_ner.evaluation.nel import NelScore, why_not_localized
from slue_ner.evaluation.ner import EntityScore
from slue_ner.evaluation.statistics import Statistics, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score object (docs/architecture.md, "Records on disk"); rates are fractions.

    Attributes:
        labels: which label set the ``ner`` and the corrected ``nel`` figures speak of.
        num_missing: references without a prediction, scored as missed.
        num_errors: predictions that failed, scored as missed.
        num_repairs: malformed tags that readers of tagged strings repaired.
        num_speakers: ``None`` when the speaker of an utterance is not known.
        error_rates: ``wer``, ``cer`` and ``wer_asr``, those that could be computed.
        entities: ``ner`` and ``ner_label``, with macro and per-label figures.
        counts: ``ner_position``, ``ner_tolerant`` and, where training phrases were given,
            ``ner_seen`` and ``ner_unseen``; over all labels.
        nel: ``None`` when the references have no word times.
        intervals: see ``Intervals`` for what they do not show.
        not_computed: why a figure is absent, by path.
    """

    labels: LabelChoice
    num_utterances: int
    num_missing: int
    num_errors: int
    num_repairs: int
    num_speakers: int | None
    error_rates: Mapping[str, float]
    entities: Mapping[str, EntityScore]
    counts: Mapping[str, Counts]
    nel: NelScore | None
    intervals: Intervals
    not_computed: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The score object as JSON; what could not be computed is absent, and NaN never occurs."""
        method, speakers = self.intervals.method, self.num_speakers
        bounds = {path: list(interval) for path, interval in self.intervals.bounds.items()}
        return {
            "schema": SCHEMA,
            "labels": self.labels,
            "num_utterances": self.num_utterances,
            "num_missing": self.num_missing,
            "num_errors": self.num_errors,
            "num_repairs": self.num_repairs,
            **({} if speakers is None else {"num_speakers": speakers}),
            **self.error_rates,
            **{name: entities.to_json() for name, entities in self.entities.items()},
            **{name: {"micro": counts.to_json()} for name, counts in self.counts.items()},
            **({} if self.nel is None else {"nel": self.nel.to_json()}),
            **({} if method is None else {"intervals": bounds}),
            **({} if method is None else {"interval_method": method.to_json()}),
            **({} if method is None else {"clusters": dict(method.clusters)}),
            "not_computed": dict(self.not_computed),
        }


def score(
    references: Sequence[Utterance],
    predictions: Sequence[Prediction],
    *,
    labels: LabelChoice | None = None,
    missing_as_empty: bool = False,
    intervals: BootstrapOptions | None = None,
    seen_phrases: Collection[str] | None = None,
) -> Score:
    """Score predictions against a manifest.

    Of a system that finds times alone (no prediction has words, text or a phrase, but some have
    entities) only ``nel`` is scored; whether it is right in words cannot be told. Of a recogniser
    (entities ``None`` in every prediction that did not fail) only the error rates are.

    Args:
        references: what was said; nothing in them is normalised.
        predictions: one for each reference, joined by id, in any order.
        labels: acts on every ``ner`` figure and on corrected NEL; ``None`` is
            ``combined``, what SLUE reports, or the set of one's own that references are in.
        missing_as_empty: score a reference without prediction as missed.
        intervals: how to make them; ``None`` for none.
        seen_phrases: entity phrases of the training manifest, for ``ner_seen`` and
            ``ner_unseen``; ``None`` leaves the two out.

    Raises:
        ValueError: for ids that do not join, labels that do not fit the choice, word ranges
            that are not there, and entities that are known of some predictions and not of
            others, naming the utterance.
    """
    labels = usual_choice(references, predictions) if labels is None else labels
    check_choice(labels)
    joined = join(references, predictions, missing_as_empty=missing_as_empty)
    phrases = None if seen_phrases is None else frozenset(seen_phrases)
    statistics = measure(joined.pairs, labels=labels, seen_phrases=phrases)
    made = Intervals()
    if intervals is not None:
        made = make_intervals(statistics, clusters=clusters(references), options=intervals)
    speakers = {known_speaker(reference) for reference in references}
    result = Score(
        labels=labels,
        num_utterances=len(references),
        num_missing=joined.num_missing,
        num_errors=joined.num_errors,
        num_repairs=joined.num_repairs,
        num_speakers=None if None in speakers else len(speakers),
        error_rates=statistics.error_rates(),
        entities=statistics.entities,
        counts={
            name: statistics.total(name)
            for name in statistics.counts
            if name not in statistics.entities and not name.startswith("nel.")
        },
        nel=statistics.nel,
        intervals=made,
        not_computed={**_absent(references, statistics), **made.not_computed},
    )
    if not _finds_entities(predictions):
        return _words_alone(result)
    return _times_alone(result) if _writes_no_words(predictions) else result


def _finds_entities(predictions: Sequence[Prediction]) -> bool:
    """Whether the system was asked for entities; one that failed was asked for anything."""
    known = [prediction for prediction in predictions if prediction.error is None]
    null = [prediction.id for prediction in known if prediction.entities is None]
    if null and len(null) < len(known):
        raise ValueError(
            f"{len(null)} predictions ({shown(null, NUM_NAMED)}) have entities null, that is not "
            f"known, and the other {len(known) - len(null)} have a list; write [] where none was "
            "found"
        )
    return not null


def _words_alone(score: Score) -> Score:
    """The score without the figures that compare entities."""
    absent = [*score.entities, *score.counts, *([] if score.nel is None else ["nel"])]
    reason = "the predictions have entities null: a recogniser alone finds none"
    return _without(score, absent, reason)


def _writes_no_words(predictions: Sequence[Prediction]) -> bool:
    if any(prediction.text or prediction.words is not None for prediction in predictions):
        return False
    entities = [entity for prediction in predictions for entity in prediction.entities or ()]
    return bool(entities) and all(entity.phrase is None for entity in entities)


def _times_alone(score: Score) -> Score:
    """The score without the figures that compare words."""
    reason = (
        "the predictions have times but no words; a frame head writes words when it is trained "
        "with task.ctc_weight above 0"
    )
    return _without(score, [*score.error_rates, *score.entities, *score.counts], reason)


def _without(score: Score, absent: Collection[str], reason: str) -> Score:
    """The score without the figures of these names, and with the reason for each."""

    def is_kept(path: str) -> bool:
        return path.removeprefix("intervals.").split(".")[0] not in absent

    bounds = {path: b for path, b in score.intervals.bounds.items() if is_kept(path)}
    told = {path: why for path, why in score.not_computed.items() if is_kept(path)}
    return replace(
        score,
        error_rates={name: r for name, r in score.error_rates.items() if is_kept(name)},
        entities={name: e for name, e in score.entities.items() if is_kept(name)},
        counts={name: c for name, c in score.counts.items() if is_kept(name)},
        nel=score.nel if is_kept("nel") else None,
        intervals=replace(score.intervals, bounds=bounds),
        not_computed={**told, **dict.fromkeys(absent, reason)},
    )


def _absent(references: Sequence[Utterance], statistics: Statistics) -> dict[str, str]:
    """Why a figure that every score should have is not there, by path."""
    reasons: dict[str, str] = {}
    for path, edits in statistics.edits.items():
        if not edits[:, 1].any():
            reasons[path] = "the references have no words"
    untold = {
        "wer_asr": ("asr_text", [r.id for r in references if r.asr_text is None]),
        "num_speakers": ("speaker", [r.id for r in references if known_speaker(r) is None]),
    }
    for path, (field, ids) in untold.items():
        if ids:
            reasons[path] = f"{len(ids)} references have no {field}: {shown(ids, NUM_NAMED)}"
    for name, entities in statistics.entities.items():
        if entities.macro is None:
            reasons[f"{name}.macro"] = "no label occurs in references or predictions"
    obstacle = why_not_localized(references)
    if obstacle is not None:
        reasons["nel"] = obstacle
    return reasons if statistics.nel is None else {**reasons, **statistics.nel.not_computed}
