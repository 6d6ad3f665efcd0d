from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Example, UtteranceDataset, collate


def utterance(audio: Path | None, text: str = "abc") -> Utterance:
    return Utterance(
        id="u", split="dev", audio=audio, num_samples=800, sample_rate=16_000, text=text
    )


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "u.wav"
    soundfile.write(path, [0.5] * 800, 16_000, subtype="FLOAT")
    return path


def dataset(item: Utterance, **options) -> UtteranceDataset:
    options = {"target": lambda u: [ord(c) for c in u.text], "min_samples": 400, **options}
    return UtteranceDataset([item], **options)


def test_an_utterance_is_read_as_waveform_and_target(wav):
    example = dataset(utterance(wav))[0]
    assert torch.equal(example.waveform, torch.full((800,), 0.5))
    assert example.target.tolist() == [97, 98, 99]
    assert example.error is None


def test_inference_has_no_targets(wav):
    assert dataset(utterance(wav), target=None)[0].target.tolist() == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "utterance u has no audio"),
        (lambda folder: folder / "gone.wav", "gone.wav: no such audio file"),
    ],
)
def test_audio_that_cannot_be_read_comes_back_as_an_error(tmp_path, make, message):
    example = dataset(utterance(make(tmp_path)))[0]
    assert example.waveform is None
    assert message in example.error


@pytest.mark.parametrize("there", [400, 799, 801, 8_000])
def test_audio_of_another_length_than_prepare_found_is_an_error_with_both(tmp_path, there):
    soundfile.write(tmp_path / "u.wav", [0.5] * there, 16_000)
    example = dataset(utterance(tmp_path / "u.wav"))[0]
    assert example.waveform is None
    assert f"u.wav: {there} samples at 16 kHz, but the manifest says 800" in example.error
    assert "run `slue-ner prepare` again" in example.error


def test_a_length_at_another_rate_is_the_same_length(tmp_path):
    soundfile.write(tmp_path / "u.wav", [0.5] * 441, 44_100)
    same = replace(utterance(tmp_path / "u.wav"), num_samples=441, sample_rate=44_100)
    assert len(dataset(same, min_samples=100)[0].waveform) == 160


def test_audio_shorter_than_a_frame_comes_back_as_an_error(wav):
    example = dataset(utterance(wav), min_samples=801)[0]
    assert "800 samples are too few for one frame, which takes 801" in example.error


def test_a_batch_is_padded_with_zeros_and_keeps_lengths():
    batch = collate(
        [
            Example("a", torch.ones(2), torch.tensor([5])),
            Example("b", torch.ones(3), torch.tensor([6, 7])),
        ]
    )
    assert batch.ids == ("a", "b") and len(batch) == 2
    assert batch.waveforms.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.num_samples.tolist() == [2, 3]
    assert batch.targets.tolist() == [[5, 0], [6, 7]]
    assert batch.num_targets.tolist() == [1, 2]


def test_unreadable_examples_are_listed_and_take_no_row():
    batch = collate(
        [
            Example("a", None, torch.tensor([5]), "gone"),
            Example("b", torch.ones(3), torch.tensor([6])),
        ]
    )
    assert batch.ids == ("b",)
    assert batch.waveforms.shape == (1, 3)
    assert batch.targets.tolist() == [[6]]
    assert batch.unreadable == (("a", "gone"),)


def test_a_batch_of_nothing_but_errors_is_empty():
    batch = collate([Example("a", None, torch.tensor([5]), "gone")])
    assert len(batch) == 0
    assert batch.waveforms.shape == (0, 0)
    assert batch.num_samples.tolist() == []


def test_moving_a_batch_keeps_what_is_no_tensor():
    batch = collate([Example("a", torch.ones(2), torch.tensor([5]))]).to("meta")
    assert batch.ids == ("a",)
    assert batch.waveforms.device.type == batch.num_targets.device.type == "meta"
