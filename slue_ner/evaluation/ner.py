"""Entity F1 in its kinds: of entities and labels, in place, nearly right, seen and unseen.

Source of the first two: slue-toolkit's NER scorer. Multisets of entities of one utterance are
compared without their order. Two entities agree when label and phrase are the same strings; for
label F1 every phrase counts as the same. Repeats count as often as they occur.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.evaluation.counts import Counts

LabelCounts = dict[str | None, Counts]
"""Counts by label; ``None`` gathers predicted entities without a label, which are never right."""


@dataclass(frozen=True, slots=True)
class EntityScore:
    """Counts of a whole data set, over all labels and for each.

    Attributes:
        micro: every entity counts the same; predictions without a label are in here alone.
        per_label: the labels that occur in the references or in the predictions.
    """

    micro: Counts
    per_label: Mapping[str, Counts]

    @classmethod
    def from_labels(cls, by_label: LabelCounts) -> EntityScore:
        """The score whose entities were counted as ``by_label``."""
        labels = sorted(label for label in by_label if label is not None)
        return cls(
            micro=sum(by_label.values(), Counts()),
            per_label={label: by_label[label] for label in labels},
        )

    @property
    def macro(self) -> dict[str, float] | None:
        """Unweighted mean over labels of precision, recall and F1; ``None`` without any label.

        A label that was only predicted counts too and lowers the mean. The macro F1 is the mean
        of the F1s, not the F1 of the mean precision and recall.
        """
        counts = self.per_label.values()
        if not counts:
            return None
        return {
            "precision": sum(count.precision for count in counts) / len(counts),
            "recall": sum(count.recall for count in counts) / len(counts),
            "f1": sum(count.f1 for count in counts) / len(counts),
        }

    def to_json(self) -> dict[str, object]:
        """``micro``, ``macro`` (absent when undefined) and ``per_label`` as fractions."""
        macro = self.macro
        return {
            "micro": self.micro.to_json(),
            **({} if macro is None else {"macro": macro}),
            "per_label": {label: count.to_json() for label, count in self.per_label.items()},
        }


def count_entities(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> LabelCounts:
    """Count one utterance's entities that agree in label and phrase.

    A predicted entity whose label or phrase is not known matches nothing, yet it was predicted.
    """
    return _count([_key(entity) for entity in gold], [_key(entity) for entity in predicted])


def count_labels(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> LabelCounts:
    """Count one utterance's entities that agree in label, whatever their phrase."""
    return _count([(entity.label, "") for entity in gold], [(e.label, "") for e in predicted])


def num_matches(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> int:
    """How many entities agree in label and phrase, each used once."""
    if not gold or not predicted:
        return 0
    common = Counter(map(_key, gold)) & Counter(map(_key, predicted))
    return sum(count for key, count in common.items() if None not in key)


_Key = tuple[str | None, str | None]


def _key(entity: EntitySpan) -> _Key:
    return entity.label, entity.phrase


def _count(gold: list[_Key], predicted: list[_Key]) -> LabelCounts:
    unmatched = Counter(gold)
    tallies: dict[str | None, list[int]] = {label: [0, 0, 0] for label, _ in (*gold, *predicted)}
    for label, _ in gold:
        tallies[label][2] += 1
    for key in predicted:
        label, phrase = key
        tally = tallies[label]
        if label is not None and phrase is not None and unmatched[key] > 0:
            unmatched[key] -= 1
            tally[0] += 1
            tally[2] -= 1
        else:
            tally[1] += 1
    return {label: Counts(*tally) for label, tally in tallies.items()}


Place = tuple[int, int]
"""Words ``[first, last)``, silences not counted."""


def num_in_place(
    reference: Utterance,
    prediction: Prediction,
    *,
    gold: Sequence[EntitySpan],
    predicted: Sequence[EntitySpan],
) -> int:
    """How many entities of an utterance agree in label, phrase and place.

    The words of the hypothesis are aligned with those of the reference's ``text`` at the fewest
    edits. A predicted entity is in place when the alignment carries its words, and no others,
    onto the words of a gold entity. Alignments with equally few edits differ in what they carry
    where; the one that puts the most entities in place decides, so neither the order of the
    entities nor the aligner's taste matters. Each entity is used once.

    Args:
        reference: gives the words; those of its alignment, with silences, play no role.
        prediction: gives the words of the hypothesis, or those of its ``text`` when its
            ``words`` is not known.
        gold: entities of ``reference``; their place comes from ``start_char`` and ``end_char``.
        predicted: entities of ``prediction``; one without ``words`` is never in place.

    Raises:
        ValueError: naming a predicted entity whose ``words`` are not there.
    """
    agreeing = [
        (ours, theirs)
        for ours in predicted
        if ours.words is not None and ours.label is not None and ours.phrase is not None
        for theirs in gold
        if ours.phrase == theirs.phrase and ours.label == theirs.label
    ]
    if not agreeing:
        return 0
    hypothesis, index = _hypothesis_words(prediction)
    pairs = {
        (_predicted_place(ours, index, prediction), _gold_place(theirs, reference.text))
        for ours, theirs in agreeing
    }
    pairs = {(ours, theirs) for ours, theirs in pairs if ours[0] < ours[1]}
    words = reference.text.split()
    if hypothesis == words:
        return len({theirs for ours, theirs in pairs if ours == theirs})
    return _longest_chain(sorted(pairs), hypothesis, words)


def _hypothesis_words(prediction: Prediction) -> tuple[list[str], list[int]]:
    """Spoken words, and for each boundary in the record's ``words`` the same one among them."""
    if prediction.words is None:
        texts = prediction.text.split()
        return texts, list(range(len(texts) + 1))
    spoken: list[str] = []
    index = [0]
    for word in prediction.words:
        if word.text:
            spoken.append(word.text)
        index.append(len(spoken))
    return spoken, index


def _predicted_place(entity: EntitySpan, index: list[int], prediction: Prediction) -> Place:
    assert entity.words is not None
    first, last = entity.words
    if not 0 <= first <= last < len(index):
        raise ValueError(
            f"prediction {prediction.id}: entity {entity.phrase!r} covers words "
            f"[{first}, {last}) but there are {len(index) - 1}; write its words as a range into "
            "the prediction's own words, or as null"
        )
    return index[first], index[last]


def _gold_place(entity: EntitySpan, text: str) -> Place:
    """The words of ``text`` that the entity's characters touch; empty when it has none."""
    if entity.start_char is None or entity.end_char is None:
        return 0, 0
    return len(text[: entity.start_char + 1].split()) - 1, len(text[: entity.end_char].split())


def _longest_chain(
    pairs: list[tuple[Place, Place]], hypothesis: list[str], words: list[str]
) -> int:
    """The most pairs that one alignment with the fewest edits can hold.

    An alignment is a path of word pairs; it holds a pair of places when it passes through both
    of their corners, that is when the edits before, inside and after add up to the fewest.
    """
    distance = Levenshtein.distance
    fewest = distance(hypothesis, words)
    held: list[tuple[Place, Place, int, int]] = []  # with the edits before and the chain so far
    best = 0
    for (first, last), (gold_first, gold_last) in pairs:
        before = distance(hypothesis[:first], words[:gold_first])
        inside = distance(hypothesis[first:last], words[gold_first:gold_last])
        after = distance(hypothesis[last:], words[gold_last:])
        if gold_first >= gold_last or before + inside + after != fewest:
            continue
        length = 1
        for (_, end), (_, gold_end), edits, chain in held:
            if chain >= length and end <= first and gold_end <= gold_first:
                between = distance(hypothesis[end:first], words[gold_end:gold_first])
                if edits + between == before:
                    length = chain + 1
        held.append(((first, last), (gold_first, gold_last), before + inside, length))
        best = max(best, length)
    return best


CHARACTERS_PER_EDIT = 5
"""One edit is forgiven for every 5 characters of the gold phrase: a CER of at most 0.2."""


def num_tolerant_matches(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> int:
    """The most pairs of one utterance's entities that agree in label and nearly in phrase.

    A pair may be formed when the labels are equal and the character error rate of the predicted
    phrase (edits / characters of the gold phrase, spaces included) is at most 0.2. Each entity
    is used once, and the pairing is chosen to be as large as possible, so the order of entities
    does not matter.
    """
    gold_phrases, predicted_phrases = _phrases(gold), _phrases(predicted)
    return sum(
        _num_pairs(gold_phrases[label], phrases)
        for label, phrases in predicted_phrases.items()
        if label in gold_phrases
    )


def _phrases(entities: Sequence[EntitySpan]) -> dict[str, list[str]]:
    by_label: dict[str, list[str]] = defaultdict(list)
    for entity in entities:
        if entity.label is not None and entity.phrase is not None:
            by_label[entity.label].append(entity.phrase)
    return by_label


def _num_pairs(gold: list[str], predicted: list[str]) -> int:
    if gold == predicted:
        return len(gold)
    candidates = [
        [index for index, target in enumerate(gold) if _is_near(phrase, target)]
        for phrase in predicted
    ]
    return _largest_matching(candidates)


def _is_near(phrase: str, target: str) -> bool:
    allowed = len(target) // CHARACTERS_PER_EDIT
    if not allowed:
        return phrase == target
    return Levenshtein.distance(phrase, target, score_cutoff=allowed) <= allowed


def _largest_matching(candidates: list[list[int]]) -> int:
    """Size of a largest one-to-one choice of one candidate per row (breadth-first augmenting)."""
    row_of: dict[int, int] = {}
    for first in range(len(candidates)):
        came_from: dict[int, int] = {}  # candidate -> the row that reached it
        choice: dict[int, int] = {row: column for column, row in row_of.items()}
        queue, free = [first], None
        for row in queue:
            for column in candidates[row]:
                if column in came_from:
                    continue
                came_from[column] = row
                if column not in row_of:
                    free = column
                    break
                queue.append(row_of[column])
            if free is not None:
                break
        while free is not None:
            row = came_from[free]
            row_of[free] = row
            free = choice.get(row)
    return len(row_of)


def training_phrases(utterances: Iterable[Utterance]) -> frozenset[str]:
    """Every phrase annotated as an entity, of any type, in the training manifest."""
    return frozenset(
        entity.phrase
        for utterance in utterances
        for entity in utterance.entities
        if entity.phrase is not None
    )


def partition(
    entities: Sequence[EntitySpan], *, seen_phrases: Collection[str]
) -> tuple[list[EntitySpan], list[EntitySpan]]:
    """Split entities into those whose phrase was seen and the rest.

    References and predictions are split by the same rule, so that the true positives of the two
    parts add up to those of the whole. A phrase that is not known was not seen.
    """
    seen: list[EntitySpan] = []
    unseen: list[EntitySpan] = []
    for entity in entities:
        (seen if entity.phrase in seen_phrases else unseen).append(entity)
    return seen, unseen
