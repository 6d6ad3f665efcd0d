"""Entity F1 that also asks for the right place among the words."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from slue_ner.core.types import EntitySpan, Prediction, Utterance

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
