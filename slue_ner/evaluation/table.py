"""A score as rows for the terminal; the one file of scoring that needs rich."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from slue_ner.evaluation.bootstrap import IntervalMethod
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel import NelScore
from slue_ner.evaluation.score import Score

_TERMS = {
    "ner f1": "label and phrase are both right, as SLUE counts them: precision is of entities "
    "predicted, recall of those in gold, F1 their harmonic mean; macro is the mean over labels",
    "ner_label f1": "the same by label alone: the type was found, however its phrase is spelt",
    "ner_position f1": "label, phrase and place among the words must be right",
    "ner_tolerant f1": "one edit for every five characters of a phrase is forgiven",
    "ner_seen f1, ner_unseen f1": "of phrases that training data had as entities, and of others",
    "nel frame f1": "time inside entities, whatever their label, in steps of 10 ms",
    "nel word f1": "words that an entity covers to at least four fifths",
    "official, corrected": "as slue-toolkit computes it, quirks included; without them",
    "wer, cer": "word and character edits over the length of the reference, summed over all",
    "wer_asr": "against the ASR form of the transcripts, whose commas are attached to words",
    "interval": "95 % by bootstrap over speakers (else debates, else utterances)",
}

_NEL_TITLES = ("nel frame f1, official", "  corrected", "nel word f1, official", "  corrected")


def render(score: Score, console: Console) -> None:
    """Print a score in percent with one decimal; plain text where there is no terminal.

    Each row has the rate, its interval where there is one, and for entities the counts it comes
    from. Below the rows stand how the figures were made and what could not be computed.
    """
    table = Table(box=box.SIMPLE)
    table.add_column("metric", no_wrap=True)
    for title in ("%", "interval", "right", "predicted", "gold"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, entities in score.entities.items():
        _add_counts(table, score, name, entities.micro)
        macro = entities.macro
        if macro is not None:
            table.add_row("  macro f1", _percent(macro["f1"]))
        for label, counts in entities.per_label.items():
            table.add_row(f"  {label} f1", _percent(counts.f1), "", *_cells(counts))
    for name, counts in score.counts.items():
        _add_counts(table, score, name, counts)
    if score.nel is not None:
        for title, (path, counts) in zip(_NEL_TITLES, score.nel.headline.items(), strict=True):
            interval = _interval(score, f"{path}.f1")
            table.add_row(title, _percent(counts.f1), interval, *_cells(counts))
    for name, rate in score.error_rates.items():
        table.add_row(name, _percent(rate), _interval(score, name))
    # as wide as its figures need: on a narrow terminal they wrap, where rich would cut them off
    table.width = console.measure(table, options=console.options.update(max_width=200)).maximum
    console.print(table, crop=False)
    for line in _footer(score):
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def explain(console: Console) -> None:
    """Print what the rows of ``render`` mean."""
    for term, meaning in _TERMS.items():
        console.print(f"{term}: {meaning}", highlight=False, markup=False, soft_wrap=True)


def _add_counts(table: Table, score: Score, name: str, counts: Counts) -> None:
    path = f"{name}.micro.f1"
    table.add_row(f"{name} f1", _percent(counts.f1), _interval(score, path), *_cells(counts))
    if name == "ner":
        for kind, rate in (("precision", counts.precision), ("recall", counts.recall)):
            table.add_row(f"  {kind}", _percent(rate), _interval(score, f"{name}.micro.{kind}"))


def _cells(counts: Counts) -> tuple[str, str, str]:
    return str(counts.tp), str(counts.pred), str(counts.gold)


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _interval(score: Score, path: str) -> str:
    bounds = score.intervals.bounds.get(path)
    return "" if bounds is None else f"{_percent(bounds[0])} to {_percent(bounds[1])}"


def _footer(score: Score) -> list[str]:
    facts = [f"{score.num_utterances} utterances", f"labels: {score.labels}"]
    if score.num_speakers is not None:
        facts.insert(1, f"{score.num_speakers} speakers")
    counted = {
        "missing": score.num_missing,
        "failed": score.num_errors,
        "repaired tags": score.num_repairs,
    }
    lines = ["; ".join(facts + [f"{what}: {count}" for what, count in counted.items() if count])]
    if score.nel is not None:
        lines.append(_nel_line(score.nel))
    method = score.intervals.method
    if method is not None:
        lines.append(
            f"intervals: {100 * method.level:g} % percentile bootstrap by {_drawn(method)}, "
            f"{method.resamples} resamples, seed {method.seed}{_too_few(method)}"
        )
    paths: dict[str, list[str]] = {}  # of each reason
    for path, why in score.not_computed.items():
        paths.setdefault(why, []).append(path)
    return lines + [f"not computed: {', '.join(of)}: {why}" for why, of in paths.items()]


def _drawn(method: IntervalMethod) -> str:
    """What is drawn, with numbers where it is not one kind alone: ``speaker (93), debate (3)``."""
    there = {kind: count for kind, count in method.clusters.items() if count}
    if len(there) == 1:
        return method.unit
    return ", ".join(f"{kind} ({count})" for kind, count in there.items())


def _too_few(method: IntervalMethod) -> str:
    """A remark where not even one resample is expected beyond either end."""
    enough = round(method.resamples * (1 - method.level) / 2, 9) >= 1
    return "" if enough else " (too few for these ends; take 1000)"


def _nel_line(nel: NelScore) -> str:
    facts = ["nel: frames are bins of 10 ms, words count from 80 % of them covered"]
    shares = {"leakage": nel.exposure.leakage, "over-redaction": nel.exposure.over_redaction}
    facts += [f"{what} {_percent(s)} %" for what, s in shares.items() if s is not None]
    if nel.boundary is not None:
        median, p90 = nel.boundary.median, nel.boundary.p90
        facts.append(f"boundaries off by {median:.0f} ms (median), {p90:.0f} ms (p90)")
    counted = {
        "predicted entities without times": nel.num_untimed,
        "references without word times": nel.num_unaligned,
        "gold entities without words": nel.num_unplaced,
    }
    return "; ".join(facts + [f"{what}: {count}" for what, count in counted.items() if count])
