from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.decoding.frame_spans import ANY_ENTITY, FrameDecoding, spans
from slue_ner.decoding.frame_tuning import _Search, tune_frames
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_official import frame_counts_official
from slue_ner.evaluation.score import score

GRID = FrameGrid()


def utterance(id: str, *borders: float) -> Utterance:
    """Words between the borders; every second one is an entity."""
    words = tuple(Word(f"w{i}", start, end) for i, (start, end) in enumerate(pairwise(borders)))
    entities = tuple(
        EntitySpan("PLACE", word.text, words=(i, i + 1), start=word.start, end=word.end)
        for i, word in enumerate(words)
        if i % 2
    )
    text = " ".join(word.text for word in words)
    return Utterance(id, "tune", None, 80_000, 16_000, text, words=words, entities=entities)


def truth(reference: Utterance, num_frames: int = 250) -> np.ndarray:
    times = (np.arange(num_frames) + 0.5) * GRID.frame_seconds
    inside = [(e.start <= times) & (times < e.end) for e in reference.entities]
    return np.any(inside, axis=0).astype(np.float32)[:, None]


@pytest.fixture
def references():
    random = np.random.default_rng(0)
    return [utterance(f"u{i}", *np.sort(random.uniform(0, 4.9, 6)).tolist()) for i in range(20)]


def frame_f1(references, probabilities, decoding, labels=(ANY_ENTITY,)):
    predictions = [
        Prediction(r.id, "", entities=tuple(spans(probabilities[r.id], GRID, decoding, labels)))
        for r in references
    ]
    return frame_counts_official(references, predictions).f1


def test_the_defaults_win_where_they_are_right_already(references):
    probabilities = {r.id: truth(r) for r in references}
    tuned = tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    assert tuned.decoding == FrameDecoding()
    assert tuned.frame_f1 == frame_f1(references, probabilities, FrameDecoding()) > 0.97


def test_a_model_that_is_never_sure_gets_a_low_threshold(references):
    probabilities = {r.id: 0.05 + 0.2 * truth(r) for r in references}
    tuned = tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    assert 0.05 < tuned.decoding.threshold_on <= 0.25
    assert tuned.frame_f1 > 0.97


def test_noise_gets_smoothed_and_the_f1_told_is_the_one_reached(references):
    random = np.random.default_rng(1)
    probabilities = {
        r.id: np.clip(0.25 + 0.5 * truth(r) + random.normal(0, 0.3, (250, 1)), 0, 1)
        for r in references
    }
    tuned = tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    assert tuned.decoding.median > 1
    assert tuned.frame_f1 > frame_f1(references, probabilities, FrameDecoding()) + 0.05
    assert tuned.frame_f1 == frame_f1(references, probabilities, tuned.decoding)


@pytest.mark.parametrize("labels", [("PERSON", "PLACE"), ("O", "B-PLACE", "I-PLACE")])
@pytest.mark.parametrize(
    "decoding",
    [
        FrameDecoding(),
        FrameDecoding(threshold_on=0.7, threshold_off=0.35, median=5),
        FrameDecoding(threshold_on=0.3, threshold_off=0.3, min_gap=0.24, min_duration=0.12),
    ],
)
def test_a_search_scores_the_entities_that_decoding_gives(references, labels, decoding):
    random = np.random.default_rng(2)
    probabilities = {
        r.id: random.random((random.integers(1, 250), len(labels))) for r in references
    }
    search = _Search(references, probabilities, GRID, labels)
    assert search.frame_f1(decoding) == frame_f1(references, probabilities, decoding, labels)
    predictions = [
        Prediction(r.id, "", entities=tuple(spans(probabilities[r.id], GRID, decoding, labels)))
        for r in references
    ]
    by_label = score(references, predictions).to_json()["nel"]["frame_per_label"]
    summed = Counts(*(sum(of[key] for of in by_label.values()) for key in ("tp", "fp", "fn")))
    assert search.label_counts(decoding) == summed


def test_a_head_that_knows_types_is_not_tuned_to_find_them_under_the_wrong_name(references):
    # the first half of every place is sure; a little of PERSON is everywhere in it. Whoever does
    # not look at names takes 0.1 and finds all; by name that is half right, all of PERSON wrong
    def heard(reference):
        inside = truth(reference)[:, 0]
        halves = sum(
            truth(replace(reference, entities=(first_half(e),))) for e in reference.entities
        )
        return np.stack([0.1 * inside, 0.6 * halves[:, 0]], axis=1)

    probabilities = {r.id: heard(r) for r in references}
    labels = ("PERSON", "PLACE")
    low = FrameDecoding(threshold_on=0.1, threshold_off=0.1)
    blind = [frame_f1(references, probabilities, d, labels) for d in (FrameDecoding(), low)]
    assert blind[1] > blind[0] + 0.2
    tuned = tune_frames(references, probabilities, GRID, labels)
    assert tuned.decoding.threshold_on > 0.1
    # half of what is there, nothing else: precision 1, recall 1/2
    assert tuned.label_frame_f1 == pytest.approx(2 / 3, abs=0.03)
    assert tuned.frame_f1 == blind[0]


def first_half(entity: EntitySpan) -> EntitySpan:
    return replace(entity, end=(entity.start + entity.end) / 2)


@pytest.mark.parametrize(("num_utterances", "own"), [(20, True), (19, False)])
def test_types_with_enough_entities_get_thresholds_of_their_own(num_utterances, own):
    # a place is heard with 0.3, and 0.4 of PERSON is mere noise: no common threshold is right
    references = [
        replace(u, entities=(*u.entities, person(u)))
        for u in (utterance(f"u{i}", 0.5, 1, 2, 2.5, 3, 4, 4.8) for i in range(num_utterances))
    ]
    places = [replace(u, entities=u.entities[:-1]) for u in references]
    persons = [replace(u, entities=u.entities[-1:]) for u in references]
    probabilities = {
        u.id: np.concatenate([0.4 + 0.5 * truth(p), 0.3 * truth(place)], axis=1)
        for u, p, place in zip(references, persons, places, strict=True)
    }
    tuned = tune_frames(references, probabilities, GRID, ("PERSON", "PLACE"))
    # three places and one person an utterance: the common threshold is that of places
    assert tuned.decoding.threshold_on <= 0.3
    assert list(tuned.decoding.per_label) == (["PERSON"] if own else [])
    assert (tuned.label_frame_f1 > 0.97) == own
    assert str(tuned).endswith(f", summed over labels {100 * tuned.label_frame_f1:.1f}")


def person(reference: Utterance) -> EntitySpan:
    word = reference.words[-1]
    last = len(reference.words)
    return EntitySpan("PERSON", word.text, words=(last - 1, last), start=word.start, end=word.end)


def test_raw_labels_of_references_are_read_in_the_terms_of_the_head(references):
    raw = [
        replace(r, entities=tuple(replace(e, label="GPE") for e in r.entities)) for r in references
    ]
    probabilities = {r.id: np.repeat(0.9 * truth(r), 2, axis=1) * (0, 1) for r in references}
    tuned = tune_frames(raw, probabilities, GRID, ("PERSON", "PLACE"))
    assert tuned.label_frame_f1 > 0.97


def test_a_binary_head_has_no_score_by_label(references):
    probabilities = {r.id: truth(r) for r in references}
    tuned = tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    assert tuned.label_frame_f1 is None and "labels" not in str(tuned)


def test_an_utterance_without_probabilities_counts_as_missed(references):
    probabilities = {r.id: truth(r) for r in references[1:]}
    tuned = tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    assert tuned.frame_f1 < 0.98


def test_references_without_word_times_take_no_part(references):
    probabilities = {r.id: truth(r) for r in references}
    bare = Utterance("bare", "tune", None, 80_000, 16_000, "no times")
    both = tune_frames([*references, bare], probabilities, GRID, (ANY_ENTITY,))
    assert both == tune_frames(references, probabilities, GRID, (ANY_ENTITY,))
    with pytest.raises(ValueError, match="no utterance to tune on has word times; run `slue-ner"):
        tune_frames([bare], probabilities, GRID, (ANY_ENTITY,))
