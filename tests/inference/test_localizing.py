from __future__ import annotations

from dataclasses import replace

import pytest

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Utterance, Word
from slue_ner.decoding.localizers import LocalizerOptions, localize
from slue_ner.decoding.transcript import to_prediction
from slue_ner.evaluation.counts import Counts
from slue_ner.inference.localizing import (
    Trial,
    localize_all,
    read_localizer,
    tune,
    tune_by_halves,
    write_localizer,
)

GRID = FrameGrid(hop=320, window=400)  # 20 ms frames
TAGGED = "so|%|new|york|]|and|$|ana|]|"


def predicted(id: str, *, labels=COMBINED, text: str = TAGGED) -> Prediction:
    """Symbol ``i`` fills frames [5i, 5i + 2), from the tenth frame on."""
    tokens = tuple(TokenSpan(s, 10 + 5 * i, 12 + 5 * i, 0.9) for i, s in enumerate(text))
    return to_prediction(id, tokens, labels=labels, grid=GRID, num_frames=20 + 5 * len(text))


def spoken(prediction: Prediction, *, speaker: str = "s", split: str = "tune") -> Utterance:
    """A reference whose words and entities lie exactly where a prediction has its entities."""
    words = tuple(
        Word(entity.phrase, round(entity.start, 2), round(entity.end, 2))
        for entity in prediction.entities
    )
    starts = [prediction.text.index(word.text) for word in words]
    entities = tuple(
        EntitySpan(
            entity.label,
            word.text,
            start_char=start,
            end_char=start + len(word.text),
            words=(i, i + 1),
            start=word.start,
            end=word.end,
        )
        for i, (entity, word, start) in enumerate(
            zip(prediction.entities, words, starts, strict=True)
        )
    )
    return Utterance(
        prediction.id,
        split,
        None,
        160_000,
        16_000,
        prediction.text,
        speaker=speaker,
        words=words,
        entities=entities,
    )


@pytest.mark.parametrize(
    "truth",
    [
        LocalizerOptions(kind="words", offset=-0.14),
        LocalizerOptions(kind="words", with_blanks=True, offset=0.3),
        LocalizerOptions(kind="type_symbols", offset=-0.3),
        LocalizerOptions(kind="type_symbols", with_blanks=True, offset=0.02),
    ],
)
def test_the_rule_that_made_the_references_is_found(truth):
    predictions = [predicted(f"u{i}") for i in range(3)]
    references = [spoken(localize(p, truth, COMBINED)) for p in predictions]
    trials = tune(references, predictions)
    assert trials[0].options == truth
    assert len(trials) == 4 * 31
    # truncation to 10 ms bins may cost a bin at each end
    assert trials[0].frames.f1 > 0.97
    assert [t.frames.f1 for t in trials] == sorted((t.frames.f1 for t in trials), reverse=True)


def test_of_equally_good_offsets_the_smallest_wins():
    silent = [Prediction("u", "", words=(), tokens=(), frame_seconds=0.02, num_frames=5)]
    references = [spoken(localize(predicted("u"), LocalizerOptions(), COMBINED))]
    trials = tune(references, silent)
    assert {trial.frames.f1 for trial in trials} == {0.0}
    assert trials[0].options == LocalizerOptions()
    assert [abs(t.options.offset) for t in trials] == sorted(abs(t.options.offset) for t in trials)


def test_a_cascade_is_tuned_by_words_alone():
    plain = predicted("u", labels=None, text="so|new|york|")
    span = EntitySpan("PLACE", "new york", words=(1, 3))
    cascade = replace(plain, entities=(span,))
    truth = LocalizerOptions(with_blanks=True, offset=0.1)
    trials = tune([spoken(localize(cascade, truth, None))], [cascade])
    assert len(trials) == 2 * 31
    assert trials[0].options == truth


def test_without_tokens_only_the_offset_is_tuned():
    words = (Word("new", 1.0, 1.5), Word("york", 1.5, 2.0))
    cascade = Prediction(
        "u", "new york", words=words, entities=(EntitySpan("PLACE", "new york", words=(0, 2)),)
    )
    truth = LocalizerOptions(offset=-0.2)
    trials = tune([spoken(localize(cascade, truth, None))], [cascade])
    assert len(trials) == 31
    assert trials[0].options == truth


def test_failed_predictions_take_part_as_missed():
    predictions = [predicted("u"), Prediction("v", "", error="no such audio file")]
    references = [spoken(predicted("u")), spoken(predicted("v"))]
    best = tune(references, predictions)[0]
    assert best.frames.fn >= best.frames.tp > 0


def test_each_half_of_the_speakers_is_localized_by_the_rule_of_the_other():
    predictions = [predicted(f"{speaker}{i}") for speaker in "ab" for i in range(2)]
    rules = {"a": LocalizerOptions(offset=0.1), "b": LocalizerOptions(offset=-0.1)}
    references = [
        spoken(localize(p, rules[p.id[0]], COMBINED), speaker=p.id[0]) for p in predictions
    ]
    localized, best = tune_by_halves(references, predictions)
    assert {trial.options.offset for trial in best} == {0.1, -0.1}
    assert [p.id for p in localized] == [p.id for p in predictions]
    for before, after in zip(predictions, localized, strict=True):
        other = rules["b" if before.id[0] == "a" else "a"]
        assert after == localize(before, other, COMBINED)


def test_tuning_on_test_is_refused():
    references = [spoken(predicted("u"), split="test")]
    for tuner in (tune, tune_by_halves):
        with pytest.raises(ValueError, match="u is of the split test, which nothing may be tuned"):
            tuner(references, [predicted("u")])


def test_references_without_word_times_are_refused():
    references = [replace(spoken(predicted("u")), words=None, entities=())]
    with pytest.raises(ValueError, match="none of the 1 references has word times, so nothing"):
        tune(references, [predicted("u")])


def test_entities_that_no_localizer_can_move_are_refused():
    prediction = predicted("u")
    frames = replace(
        prediction,
        words=None,
        entities=tuple(replace(e, words=None) for e in prediction.entities),
    )
    with pytest.raises(ValueError, match="no localizer can move it; the times of a frame head"):
        tune([spoken(prediction)], [frames])


def test_a_recogniser_has_nothing_to_localize():
    plain = predicted("u", labels=None, text="so|new|york|")
    assert plain.entities is None
    wide = LocalizerOptions(with_blanks=True, offset=0.1)
    (found,) = localize_all([plain], wide)
    assert found.entities is None
    # its words move: from the blanks beside it at 0.44 s, and 0.1 s later
    assert (plain.words[1].start, found.words[1].start) == (0.5, 0.54)
    with pytest.raises(ValueError, match="have entities null, as a recogniser writes them, so"):
        tune([spoken(predicted("u"))], [plain])


def test_one_speaker_has_no_halves():
    predictions = [predicted(id) for id in "uv"]
    with pytest.raises(ValueError, match="all 2 references are of one speaker"):
        tune_by_halves([spoken(p) for p in predictions], predictions)


@pytest.mark.parametrize("tuner", [tune, tune_by_halves])
def test_ids_that_do_not_join_are_refused(tuner):
    references = [spoken(predicted("u"), speaker="a"), spoken(predicted("v"), speaker="b")]
    with pytest.raises(ValueError, match=r"1 ids \(v\) have a reference but no prediction"):
        tuner(references, [predicted("u")])


def test_a_tuned_localizer_comes_back_from_its_file(tmp_path):
    options = LocalizerOptions(kind="type_symbols", with_blanks=True, offset=-0.06)
    path = tmp_path / "localizer.yaml"
    trial = Trial(options, Counts(3, 1, 1))
    write_localizer(path, trial.kept("4 utterances of tune.jsonl"))
    assert path.read_text() == (
        "kind: type_symbols\nwith_blanks: true\noffset: -0.06\n"
        "tuned_on: 4 utterances of tune.jsonl\nframe_f1: 0.75\n"
    )
    assert read_localizer(path) == trial.kept("4 utterances of tune.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind: word", "localizer kind 'word' is unknown"),
        ("offsets: 1", "offsets is unknown; did you mean 'offset'"),
        ("offset: far", "offset should be float, got 'far'"),
        ("[1]", "should hold a mapping"),
    ],
)
def test_a_wrong_localizer_file_is_named(tmp_path, content, message):
    path = tmp_path / "localizer.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"localizer\.yaml:? .*" + message):
        read_localizer(path)
    with pytest.raises(ValueError, match=r"gone\.yaml: no such file; `slue-ner tune localizer`"):
        read_localizer(tmp_path / "gone.yaml")


def test_a_whole_file_is_localized_in_the_marks_it_was_decoded_with():
    options = LocalizerOptions(kind="type_symbols", with_blanks=True)
    predictions = [predicted("u"), predicted("v")]
    assert localize_all(predictions, options) == [
        localize(p, options, COMBINED) for p in predictions
    ]


def test_words_move_with_their_entities_and_again_from_where_they_were():
    options = LocalizerOptions(offset=-0.14)
    before = predicted("u")
    (once,) = localize_all([before], options)
    for word, moved in zip(before.words, once.words, strict=True):
        assert moved.start == pytest.approx(word.start - 0.14)
    for entity in once.entities:
        assert entity.start == pytest.approx(once.words[entity.words[0]].start, abs=0.006)
    assert localize_all([once], options) == [once]


def test_words_without_tokens_stay_since_nothing_tells_where_they_were():
    words = (Word("york", 1.5, 2.0),)
    heard = Prediction(
        "u", "york", words=words, entities=(EntitySpan("PLACE", "york", words=(0, 1)),)
    )
    (found,) = localize_all([heard], LocalizerOptions(offset=-0.2))
    assert found.words == words
    assert (found.entities[0].start, found.entities[0].end) == pytest.approx((1.3, 1.8))


def test_the_name_that_blanks_had_in_files_of_before_is_read(tmp_path):
    path = tmp_path / "localizer.yaml"
    path.write_text("kind: words\nincl_blank: true\noffset: -0.2\ntuned_on: tune\n")
    assert read_localizer(path).options == LocalizerOptions(
        kind="words", with_blanks=True, offset=-0.2
    )
