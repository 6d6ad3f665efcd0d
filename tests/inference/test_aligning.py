from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from given_emissions import GivenEmissions

from slue_ner.core.records import read_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Utterance, Word
from slue_ner.core.validation import check_prediction, check_utterance
from slue_ner.decoding.emissions import EmissionsWriter, read_emissions
from slue_ner.decoding.localizers import LocalizerOptions, localize
from slue_ner.inference.aligning import (
    Aligner,
    align_predictions,
    align_utterances,
    weighted_priors,
)
from slue_ner.inference.transcribing import CTCPredictor
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import MixingOptions, build_mixing
from slue_ner.text.vocabulary import BLANK, Vocabulary

GRID = FrameGrid(hop=320)
VOCABULARY = Vocabulary.build(["in rome ana"], None)
ALIGNER = Aligner(VOCABULARY, GRID)

SPOKEN = "_in_|_rome_|__ana_|_"
"""One frame each: words in frames [1, 3), [6, 10), [14, 17)."""


def emissions_of(path: str, sure: float = 0.9) -> np.ndarray:
    probabilities = np.full((len(path), len(VOCABULARY)), (1 - sure) / (len(VOCABULARY) - 1))
    ids = VOCABULARY.encode([BLANK if symbol == "_" else symbol for symbol in path])
    probabilities[np.arange(len(path)), ids] = sure
    return np.log(probabilities).astype(np.float32)


EMITTED = GivenEmissions({"a": emissions_of(SPOKEN)})


def utterance(id: str = "a", text: str = "in rome ana", **fields) -> Utterance:
    start = text.index("rome ana") if "rome ana" in text else 0
    entity = EntitySpan("ORG", "rome ana", start, start + 8)
    return Utterance(
        id=id,
        split="dev",
        audio=None,
        num_samples=320 * len(SPOKEN) + 80,
        sample_rate=16_000,
        text=text,
        entities=(entity,) if "rome ana" in text else (),
        **fields,
    )


def test_words_and_entities_of_an_utterance_get_their_times():
    (aligned,), failures = align_utterances(
        [utterance()], GivenEmissions({"a": emissions_of(SPOKEN)}), ALIGNER
    )
    assert failures == {}
    check_utterance(aligned)
    assert [(w.text, w.start, w.end) for w in aligned.words] == [
        ("in", 0.02, 0.06),
        ("rome", 0.12, 0.2),
        ("ana", 0.28, 0.34),
    ]
    (entity,) = aligned.entities
    assert (entity.words, entity.start, entity.end) == ((1, 3), 0.12, 0.34)
    assert (entity.start_char, entity.end_char) == (3, 11)


def test_what_cannot_be_aligned_has_no_times_and_says_why():
    old = (Word("in", 0, 0.1), Word("rome", 0.1, 0.2), Word("ana", 0.2, 0.3))
    known = utterance("b", words=old)
    known = replace(known, entities=(replace(known.entities[0], words=(1, 3), start=0.1, end=0.3),))
    utterances = [utterance("a"), known, utterance("c"), utterance("d", text="")]
    emitted = GivenEmissions(
        {
            "a": emissions_of(SPOKEN),
            "b": emissions_of(SPOKEN[:8]),
            "d": emissions_of("____"),
        },
        lost={"c": "audio/c.wav: no such file"},
    )
    aligned, failures = align_utterances(utterances, emitted, ALIGNER)
    assert [record.id for record in aligned] == ["a", "b", "c", "d"]
    assert failures == {
        "b": "12 symbols need 12 frames, the audio has 8",
        "c": "audio/c.wav: no such file",
    }
    for record in aligned:
        check_utterance(record)
    assert aligned[1].words is None
    (entity,) = aligned[1].entities
    assert (entity.phrase, entity.words, entity.start, entity.end) == ("rome ana", None, None, None)
    assert aligned[3].words == ()


def test_an_utterance_that_never_was_emitted_is_a_failure_too():
    (aligned,), failures = align_utterances([utterance()], GivenEmissions({}), ALIGNER)
    assert aligned.words is None
    assert failures == {"a": "it has no emissions"}


def test_words_the_model_does_not_hear_are_left_out_on_request():
    unsure = GivenEmissions({"a": emissions_of(SPOKEN), "b": emissions_of("_" * len(SPOKEN))})
    utterances = [utterance("a"), utterance("b")]
    strict = replace(ALIGNER, min_score=0.5)
    aligned, failures = align_utterances(utterances, unsure, strict)
    assert [record.words is None for record in aligned] == [False, True]
    assert failures["b"].startswith("the words score 0.0")
    assert failures["b"].endswith("which is below 0.5")


def test_texts_that_are_hardly_what_was_heard_are_told_and_still_get_times():
    emitted = GivenEmissions(
        {
            "a": emissions_of(SPOKEN),
            "b": emissions_of("_" * 2000),
            "c": emissions_of("ana_|_rome_|_" * 150),
        },
        lost={"d": "audio/d.wav: no such file"},
    )
    utterances = [utterance(id) for id in "abcd"]
    doubtful: list[str] = []
    aligned, failures = align_utterances(utterances, emitted, ALIGNER, doubt=doubtful.append)
    assert doubtful == ["b", "c"]
    assert aligned[1].words is not None and list(failures) == ["d"]
    predictions = [Prediction(id, "in rome ana") for id in "ab"]
    told: list[str] = []
    align_predictions(predictions, emitted, ALIGNER, doubt=told.append)
    assert told == ["b"]


def test_a_model_that_is_late_is_set_right_by_an_offset_within_the_audio():
    early, late = replace(ALIGNER, offset=-0.05), replace(ALIGNER, offset=0.05)
    emitted = EMITTED
    (aligned,), _ = align_utterances([utterance()], emitted, early)
    times = [time for word in aligned.words for time in (word.start, word.end)]
    assert times == pytest.approx([0.0, 0.01, 0.07, 0.15, 0.23, 0.29])
    assert (aligned.entities[0].start, aligned.entities[0].end) == pytest.approx((0.07, 0.29))
    (aligned,), _ = align_utterances([utterance()], emitted, late)
    assert aligned.words[-1].end == pytest.approx(0.39)
    (aligned,), _ = align_utterances([utterance()], emitted, replace(late, offset=9.0))
    check_utterance(aligned)
    assert aligned.words[0].start == aligned.words[-1].end == pytest.approx(0.02 * len(SPOKEN))


def test_progress_counts_every_utterance():
    told = []
    align_utterances(
        [utterance("a"), utterance("b")],
        GivenEmissions({"b": emissions_of(SPOKEN)}, lost={"a": "gone"}),
        ALIGNER,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]


def test_predicted_words_and_entities_get_the_times_of_an_alignment():
    prediction = Prediction(
        id="a",
        text="in rome ana",
        words=(Word("in", 0, 1), Word("", 1, 2), Word("rome", 2, 3), Word("ana", 3, 4)),
        entities=(
            EntitySpan("ORG", "rome ana", words=(2, 4), start=2.0, end=4.0, score=0.5),
            EntitySpan("PLACE", None, start=0.5, end=0.7),  # of a frame head
        ),
        num_repairs=2,
    )
    (aligned,), failures = align_predictions(
        [prediction],
        GivenEmissions({"a": emissions_of(SPOKEN), "z": emissions_of(SPOKEN)}),
        ALIGNER,
    )
    assert failures == {}
    check_prediction(aligned)
    assert [word.text for word in aligned.words] == ["in", "rome", "ana"]  # the silence is gone
    first, second = aligned.entities
    assert first == EntitySpan("ORG", "rome ana", words=(1, 3), start=0.12, end=0.34, score=0.5)
    assert second == prediction.entities[1]
    assert (aligned.text, aligned.num_repairs) == ("in rome ana", 2)


def test_localizing_an_aligned_prediction_moves_its_new_times():
    entity = EntitySpan("ORG", "rome", words=(1, 2), start=0.04, end=0.12)
    tokens = tuple(TokenSpan(s, i, i + 1, 1.0) for i, s in enumerate("in|rome"))
    decoded = Prediction(
        id="a",
        text="in rome",
        frame_seconds=0.02,
        num_frames=len(SPOKEN),
        words=(Word("in", 0, 0.04), Word("rome", 0.06, 0.14)),
        entities=(entity,),
        tokens=tokens,
    )
    (aligned,), _ = align_predictions(
        [decoded], GivenEmissions({"a": emissions_of(SPOKEN)}), ALIGNER
    )
    moved = localize(aligned, LocalizerOptions(offset=0.05), labels=None)
    assert aligned.entities[0].start == pytest.approx(0.12)
    assert moved.entities[0].start == pytest.approx(0.17)


def test_a_prediction_that_cannot_be_aligned_keeps_its_entities_without_times():
    entity = EntitySpan("PLACE", "rome", words=(1, 2), start=0.1, end=0.2)
    words = (Word("in", 0, 0.1), Word("rome", 0.1, 0.2))
    good = Prediction(id="a", text="in rome", words=words, entities=(entity,))
    failed = Prediction(id="b", text="", error="b.wav: no such file")
    aligned, failures = align_predictions(
        [good, failed], GivenEmissions({"a": emissions_of("_in")}), ALIGNER
    )
    assert failures == {"a": "8 symbols need 8 frames, the audio has 3"}
    assert aligned[0].words is None
    assert aligned[0].entities == (replace(entity, start=None, end=None),)
    assert aligned[1] == failed


def test_entities_whose_words_are_not_known_to_the_record_are_placed_by_its_text():
    entity = EntitySpan("PLACE", "rome", words=(1, 2))
    prediction = Prediction(id="a", text="in rome ana", entities=(entity,))
    (aligned,), _ = align_predictions(
        [prediction], GivenEmissions({"a": emissions_of(SPOKEN)}), ALIGNER
    )
    assert (aligned.entities[0].start, aligned.entities[0].end) == (0.12, 0.2)


def test_stored_emissions_align_like_fresh_ones(tmp_path):
    log_probs = emissions_of(SPOKEN)
    symbols = VOCABULARY.symbols
    with EmissionsWriter(
        tmp_path / "e", kind="ctc", symbols=symbols, grid=GRID, model_hash="m"
    ) as writer:
        writer.add("a", log_probs)
    emissions = read_emissions(tmp_path / "e")
    utterances = [utterance("a"), utterance("b")]
    aligned, failures = align_utterances(utterances, emissions, ALIGNER)
    fresh, _ = align_utterances(utterances, GivenEmissions({"a": log_probs}), ALIGNER)
    assert failures == {"b": f"{tmp_path / 'e'} has no emissions of b"}
    for ours, theirs in zip(aligned[0].words, fresh[0].words, strict=True):
        assert (ours.start, ours.end) == (theirs.start, theirs.end)
        assert ours.score == pytest.approx(theirs.score, abs=1e-3)


def test_priors_are_weighted_and_leave_failed_utterances_out():
    log_probs = emissions_of("_in_")
    priors = weighted_priors(GivenEmissions({"a": log_probs}, lost={"b": "gone"}), 0.5)
    blank = np.exp(log_probs)[:, 0].mean()
    assert priors[0] == pytest.approx(0.5 * np.log(blank), rel=1e-5)


def test_a_model_emits_every_utterance_or_says_why_not(tiny_corpus: Path):
    torch.manual_seed(0)
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tiny |= {"intermediate_size": 24, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16}
    encoder = build_encoder(EncoderOptions(family="wav2vec2", overrides=tiny))
    mixing = build_mixing(MixingOptions(), num_layers=encoder.num_layers)
    model = CTCModel(encoder, mixing, CTCHead(16, vocabulary_size=len(VOCABULARY)))
    utterances = read_manifest(tiny_corpus / "dev.jsonl")
    utterances.append(replace(utterances[0], id="lost", audio=Path("/nowhere.wav")))
    live = CTCPredictor(model, VOCABULARY).emit(utterances, batch_seconds=4.0)
    emitted = dict(live.items())
    assert set(emitted) == {record.id for record in utterances[:-1]}
    assert "nowhere.wav" in live.why_not("lost")
    for record in utterances[:-1]:
        frames = model.grid.num_frames(record.num_samples)
        assert emitted[record.id].shape == (frames, len(VOCABULARY))
        assert np.exp(emitted[record.id]).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
