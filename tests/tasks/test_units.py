from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance, Word
from slue_ner.tasks.pretraining import (
    Pretraining as PretrainOptions,
)
from slue_ner.tasks.pretraining import (
    select_for_pretraining,
    unit_vocabulary,
    units,
)

GRID = FrameGrid(hop=320, window=400)
PHONES = tuple(Word(text, 0.1 * i, 0.1 * i + 0.1) for i, text in enumerate(["b", "oU", "b"]))


def options(**changes) -> PretrainOptions:
    values = {
        "objective": "both",
        "units": "letters",
        "num_clusters": 8,
        "teacher": None,
        "teacher_layer": None,
        "fit_frames": 100,
    }
    return PretrainOptions(**{**values, **changes})


def utterance(text: str = "bo b", *, id: str = "u", num_frames: int = 20) -> Utterance:
    return Utterance(
        id=id,
        split="fine-tune",
        audio=Path("u.wav"),
        num_samples=GRID.num_samples(num_frames),
        sample_rate=16_000,
        text=text,
        phones=PHONES,
    )


def select(utterances, max_seconds=None, speed=1.0, **changes):
    kept, left_out = select_for_pretraining(
        utterances, options(**changes), GRID, max_seconds=max_seconds, speed=speed
    )
    return [u.id for u in kept], left_out


def test_letters_are_those_of_the_transcript_and_every_word_ends():
    assert units(utterance("bo in"), "letters") == ["b", "o", "|", "i", "n", "|"]


def test_phones_are_those_of_the_manifest():
    assert units(utterance(), "phones") == ["b", "oU", "b"]


@pytest.mark.parametrize("kind", ["letters", "phones"])
def test_what_is_not_known_has_no_units(kind):
    assert units(replace(utterance(""), phones=None), kind) == []
    assert units(replace(utterance(""), phones=()), kind) == []


def test_a_vocabulary_holds_every_unit_once_behind_the_special_symbols():
    letters = unit_vocabulary([utterance("bo in"), utterance("on")], "letters")
    assert letters.symbols == ("<blank>", "<unk>", "|", "b", "i", "n", "o")
    assert letters.labels is None
    assert unit_vocabulary([utterance(), utterance()], "phones").symbols[3:] == ("b", "oU")


def test_the_vocabulary_does_not_depend_on_the_order_of_the_utterances():
    spoken = [utterance("bo in"), utterance("york"), utterance("")]
    assert unit_vocabulary(spoken, "letters") == unit_vocabulary(spoken[::-1], "letters")


def test_no_unit_at_all_is_refused_and_says_what_else_can_be_done():
    silent = replace(utterance(""), phones=None)
    with pytest.raises(ValueError, match=r"no training utterance has phones .*objective=masked"):
        unit_vocabulary([silent], "phones")


@pytest.mark.parametrize(
    ("objective", "guesses", "writes"),
    [("masked", True, False), ("supervised", False, True), ("both", True, True)],
)
def test_the_objective_decides_what_is_guessed_and_written(objective, guesses, writes):
    chosen = options(objective=objective)
    assert (chosen.guesses_clusters, chosen.writes_units) == (guesses, writes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "mask"}, "task.objective='mask' should be masked, supervised or both"),
        ({"units": "words"}, "task.units='words' should be letters or phones"),
        ({"num_clusters": 1}, "task.num_clusters=1 needs at least 2 clusters"),
        ({"fit_frames": 7}, "as many frames to fit them on, task.fit_frames=7"),
        ({"teacher_layer": 3}, "task.teacher_layer needs a task.teacher; MFCCs have no layers"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        options(**changes)


def test_audio_that_cannot_be_learned_from_is_left_out_by_reason():
    short = replace(utterance(id="short"), num_samples=399)
    long = utterance(id="long", num_frames=200)  # 4 s
    dense = utterance("a much longer text than frames", id="dense")
    missing = replace(utterance(id="missing"), audio=None, num_samples=None)
    kept, left_out = select([short, utterance(), long, dense, missing], max_seconds=3.0)
    assert kept == ["u"]
    assert left_out == {
        "shorter than a frame": ["short", "missing"],
        "longer than 3 s": ["long"],
        "more units than frames": ["dense"],
    }


@pytest.mark.parametrize(
    ("objective", "kept"), [("masked", True), ("both", True), ("supervised", False)]
)
def test_only_supervision_needs_units(objective, kept):
    ids, left_out = select([utterance("")], objective=objective)
    assert ids == (["u"] if kept else [])
    assert left_out == ({} if kept else {"no letters": ["u"]})


def test_masked_prediction_takes_audio_whose_text_would_not_fit():
    assert select([utterance("a" * 100)], objective="masked") == (["u"], {})


def test_neighbours_that_are_equal_need_a_frame_between_them():
    # the letters take 4 frames: b, blank, b, end of word
    spoken = [utterance("bb", id=f"{n}", num_frames=n) for n in (2, 3, 4)]
    assert select(spoken) == (["4"], {"more units than frames": ["2", "3"]})
    phones = (Word("b", 0.0, 0.01), Word("b", 0.01, 0.02))
    spoken = [replace(u, phones=phones) for u in spoken]
    assert select(spoken, units="phones") == (["3", "4"], {"more units than frames": ["2"]})


def test_the_fastest_that_augmentation_may_play_must_still_fit():
    # 10 frames are 3280 samples; at 1.25 times the speed 2624 are left, which are 7 frames
    assert select([utterance("abcdef", num_frames=10)], speed=1.25) == (["u"], {})
    assert select([utterance("abcdefg", num_frames=10)], speed=1.25)[0] == []
    assert select([utterance("abcdefg", num_frames=10)])[0] == ["u"]
