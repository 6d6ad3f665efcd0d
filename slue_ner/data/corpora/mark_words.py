"""Transcripts with words that a recogniser uses as marks: all found and resolved at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from slue_ner.core.labels import COMBINED, label_set_for
from slue_ner.core.listing import MOST_LISTED, shown
from slue_ner.core.types import Utterance
from slue_ner.text.marks import lost_words, survives, survives_everywhere, without_marks
from slue_ner.text.markup import DELIMITER

MARK_CHOICES = ("keep", "remove", "leave-out")
"""Keep such texts, which training passes over; take the marks out of them; leave them out."""

Splits = Mapping[str, Sequence[Utterance]]


def resolve_marks(splits: Splits, choice: str) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Find the texts that cannot survive the way to CTC symbols and back, and do as chosen.

    Args:
        splits: utterances by split, texts in the NER form.
        choice: one of ``MARK_CHOICES``; see ``without_marks`` for what ``remove`` writes.

    Returns:
        The splits, empty ones left out, and a sentence that lists what was found, if anything was.
    """
    if choice not in MARK_CHOICES:
        raise ValueError(f"marks should be one of {', '.join(MARK_CHOICES)}, got {choice!r}")
    every = [utterance for utterances in splits.values() for utterance in utterances]
    labels = label_set_for(e.label for u in every for e in u.entities if e.label)
    lost = {
        u.id: lost_words(u.text)
        for u in every
        if not (survives_everywhere(u) if labels is COMBINED else survives(u, labels))
    }
    if not lost:
        return {name: list(utterances) for name, utterances in splits.items()}, []
    resolved: dict[str, list[Utterance]] = {}
    gone: list[str] = []
    for name, utterances in splits.items():
        for utterance in utterances:
            if utterance.id in lost and choice == "leave-out":
                continue
            if utterance.id in lost and choice == "remove":
                utterance, num_gone = without_marks(utterance)
                gone += [utterance.id] * num_gone
            resolved.setdefault(name, []).append(utterance)
    total = sum(map(len, splits.values()))
    return resolved, [f"{len(lost)} of {total} {_done(choice, gone)}: {listed_words(lost)}"]


def _done(choice: str, gone: Sequence[str]) -> str:
    found = f"texts hold words that are entity marks or {DELIMITER!r}"
    if choice == "leave-out":
        return f"{found}, and are left out"
    if choice == "remove":
        entities = f", {len(gone)} entities that were nothing else with them" if gone else ""
        return f"{found}, which were taken out{entities}; {DELIMITER!r} became a space"
    return (
        f"{found}, which a recogniser could not write: they are kept, training and language "
        "models of these labels leave them out; --marks remove takes the marks out of the texts, "
        "--marks leave-out the utterances out of the data"
    )


def listed_words(lost: Mapping[str, Sequence[str]]) -> str:
    """The first twenty ids with their words, those of the raw set alone marked, and counts."""
    ids = [f"{id_} ({', '.join(map(_named, words))})" for id_, words in lost.items()]
    first = shown(ids, MOST_LISTED, between="; ")
    counts = Counter(word for words in lost.values() for word in words)
    frequent = ", ".join(f"{word!r} in {count}" for word, count in counts.most_common(MOST_LISTED))
    return f"{first}; texts by word: {frequent}"


def _named(word: str) -> str:
    in_combined = word in COMBINED.marks or DELIMITER in word
    return repr(word) if in_combined else f"{word!r} of the raw label set"
