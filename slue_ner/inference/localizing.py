"""The localizer that suits a system best, searched on references with word times, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path

import yaml

from slue_ner.core.files import write_text
from slue_ner.core.groups import group_of
from slue_ner.core.labels import LabelSet
from slue_ner.core.lines import check_file
from slue_ner.core.run_files import LOCALIZER_FILE, read_config
from slue_ner.core.time import Seconds
from slue_ner.core.typed_config import from_mapping
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.corpora.splits import hold_out_tune
from slue_ner.decoding.localizers import KINDS, WORDS, LocalizerOptions, localize, marks_of, shift
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import join
from slue_ner.evaluation.nel import why_not_localized
from slue_ner.evaluation.nel_official import frame_counts_official

OFFSETS = tuple(step / 50 for step in range(-15, 16))
"""-0.30 to 0.30 s in steps of 0.02, as slue-toolkit searches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLocalizer:
    """A localizer as its file has it, with remarks on where it comes from.

    Attributes:
        options: the rule and its offset.
        align_offset: what forced alignment with the same model adds to its times; ``None`` when
            that was not measured.
        tuned_on: the references; ``None`` for a default.
        frame_f1: official frame F1 reached there.
        align_ms: median error of aligned word boundaries there, the offset applied.
    """

    options: LocalizerOptions
    align_offset: Seconds | None = None
    tuned_on: str | None = None
    frame_f1: float | None = None
    align_ms: float | None = None

    def __str__(self) -> str:
        """The rule in words and what it is worth."""
        blanks = "with" if self.options.with_blanks else "without"
        rule = f"{self.options.kind} {blanks} blanks, {self.options.offset:+.2f} s"
        if self.tuned_on is None:
            return f"{rule}, a default"
        reached = "" if self.frame_f1 is None else f" (frame F1 {100 * self.frame_f1:.1f})"
        return f"{rule}, tuned on {self.tuned_on}{reached}"

    @property
    def alignment(self) -> str:
        """The offset of forced alignment in words and what it is worth."""
        if self.align_offset is None:
            return "no offset, for none was measured"
        if self.align_ms is None:
            return f"{self.align_offset:+.2f} s, a default"
        return f"{self.align_offset:+.2f} s (median error {self.align_ms:.0f} ms on tune)"


@dataclass(frozen=True, slots=True)
class Trial:
    """A localizer and its official frame counts."""

    options: LocalizerOptions
    frames: Counts

    def kept(self, tuned_on: str) -> KeptLocalizer:
        """The localizer for its file."""
        return KeptLocalizer(options=self.options, tuned_on=tuned_on, frame_f1=self.frames.f1)


def localize_all(predictions: Sequence[Prediction], options: LocalizerOptions) -> list[Prediction]:
    """Localize every prediction of a file, see ``localize``.

    By a rule of words, the words move with the entities, if there are tokens to find them again.
    """
    labels = marks_of(predictions)
    localized = [localize(prediction, options, labels) for prediction in predictions]
    if options.kind != WORDS or not options.offset:
        return localized
    return [p if p.tokens is None else move_words(p, options.offset) for p in localized]


def move_words(prediction: Prediction, offset: Seconds) -> Prediction:
    """Add ``offset`` to both ends of all words; cut at 0."""
    words = tuple(
        replace(word, start=max(0.0, word.start + offset), end=max(0.0, word.end + offset))
        for word in prediction.words or ()
    )
    return prediction if prediction.words is None else replace(prediction, words=words)


def tune(references: Sequence[Utterance], predictions: Sequence[Prediction]) -> list[Trial]:
    """Try every rule with every offset and score it by official frame F1.

    Type symbols are tried where the predictions have them, blanks where they have tokens.

    Returns:
        All trials, best first; of equally good ones the smaller offset comes first, then words
        before type symbols, and without blanks before with them.

    Raises:
        ValueError: for references of a split named test or without word times, and for ids
            that do not join.
    """
    check_tuning_split(references)
    return _search(references, predictions, marks_of(predictions))


def tune_by_halves(
    references: Sequence[Utterance], predictions: Sequence[Prediction]
) -> tuple[list[Prediction], list[Trial]]:
    """Tune on one half of the speakers, localize the other half, and swap them.

    For data of which only the split to report has word times: no utterance is localized by a
    rule that its speaker had a part in choosing. Without speakers, debates or utterances are
    halved (see ``hold_out_tune``).

    Returns:
        The predictions, localized, in their order; and the best trial of each half.

    Raises:
        ValueError: as ``tune`` does, and when there is nothing to halve.
    """
    check_tuning_split(references)
    if len({group_of(utterance) for utterance in references}) < 2:
        raise ValueError(
            f"all {len(references)} references are of one speaker, so there are no two halves; "
            "tune on another split"
        )
    labels = marks_of(predictions)
    rule_of: dict[str, LocalizerOptions] = {}
    best: list[Trial] = []
    one, other = hold_out_tune(references, share=0.5)
    join(references, predictions)
    for tuned_on, applied_to in ((one, other), (other, one)):
        ids = {utterance.id for utterance in tuned_on}
        best.append(_search(tuned_on, [p for p in predictions if p.id in ids], labels)[0])
        rule_of |= {utterance.id: best[-1].options for utterance in applied_to}
    return [localize(p, rule_of[p.id], labels) for p in predictions], best


def write_localizer(path: Path, localizer: KeptLocalizer) -> None:
    """Write a localizer as YAML, with its remarks."""
    values = {**asdict(localizer.options), **_remarks(localizer)}
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def read_localizer(path: Path) -> KeptLocalizer:
    """Read what ``write_localizer`` wrote.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    check_file(Path(path), hint="`slue-ner tune localizer` writes one")
    values = read_config(Path(path))
    if "incl_blank" in values:  # its name in files of before
        values["with_blanks"] = values.pop("incl_blank")
    rule = {key: value for key, value in values.items() if key not in _REMARKS}
    remarks = {key: value for key, value in values.items() if key in _REMARKS}
    try:
        options = from_mapping(LocalizerOptions, rule)
        return from_mapping(KeptLocalizer, {"options": options, **remarks})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def run_localizer(run_dir: Path) -> KeptLocalizer | None:
    """The localizer that a run folder keeps; ``None`` of a run made before there were any."""
    path = run_dir / LOCALIZER_FILE
    return read_localizer(path) if path.is_file() else None


_REMARKS = tuple(f.name for f in fields(KeptLocalizer) if f.name != "options")


def _remarks(localizer: KeptLocalizer) -> dict[str, float | str | None]:
    """Where it comes from; what is not known is left out, but for what it was tuned on."""
    remarks = {name: getattr(localizer, name) for name in _REMARKS}
    return {k: v for k, v in remarks.items() if v is not None or k == "tuned_on"}


def _search(
    references: Sequence[Utterance], predictions: Sequence[Prediction], labels: LabelSet | None
) -> list[Trial]:
    if obstacle := why_not_localized(references):
        raise ValueError(f"{obstacle}, so nothing can be tuned; `slue-ner align` makes word times")
    if predictions and all(p.entities is None for p in predictions if p.error is None):
        raise ValueError(
            "the predictions have entities null, as a recogniser writes them, so there is nothing "
            "to localize; find entities first, with `slue-ner predict --text-ner`"
        )
    entities = [entity for prediction in predictions for entity in prediction.entities or ()]
    if entities and all(entity.words is None for entity in entities):
        raise ValueError(
            "not one predicted entity has a range of words, so no localizer can move it; the times "
            "of a frame head are tuned by `slue-ner tune frames`"
        )
    # join() empties predictions that failed; without any entity there is nothing to count
    pairs = [
        (utterance, prediction)
        for utterance, prediction in join(references, predictions).pairs
        if utterance.entities or prediction.entities
    ]
    references = [utterance for utterance, _ in pairs]
    found = [prediction for _, prediction in pairs]
    trials: list[Trial] = []
    for rule in _rules(found, labels):
        unshifted = [localize(prediction, rule, labels) for prediction in found]
        for offset in OFFSETS:
            shifted = [shift(prediction, offset) for prediction in unshifted]
            counts = frame_counts_official(references, shifted)
            trials.append(Trial(replace(rule, offset=offset), counts))
    return sorted(trials, key=_rank)


def _rules(predictions: Sequence[Prediction], labels: LabelSet | None) -> list[LocalizerOptions]:
    have_tokens = all(p.tokens is not None for p in predictions if p.words)
    if not have_tokens:
        return [LocalizerOptions()]
    kinds = (WORDS,) if labels is None else KINDS
    return [
        LocalizerOptions(kind=kind, with_blanks=with_blanks)
        for kind, with_blanks in product(kinds, (False, True))
    ]


def _rank(trial: Trial) -> tuple[float, float, int, bool, float]:
    options = trial.options
    return (
        -trial.frames.f1,
        abs(options.offset),
        KINDS.index(options.kind),
        options.with_blanks,
        options.offset,
    )


def check_tuning_split(references: Sequence[Utterance]) -> None:
    """Raise ``ValueError`` for references of a split named test."""
    of_test = next((utterance for utterance in references if utterance.split == "test"), None)
    if of_test is not None:
        raise ValueError(
            f"utterance {of_test.id} is of the split test, which nothing may be tuned on; tune on "
            "'tune' (or on 'dev' to reproduce published figures) and report test"
        )
