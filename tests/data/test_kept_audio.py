from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import UtteranceDataset


def two_files(folder: Path) -> list[Utterance]:
    """Two files of 1000 samples, 4000 bytes each once decoded."""
    utterances = []
    for name in ("a", "b"):
        path = folder / f"{name}.wav"
        soundfile.write(path, np.linspace(-0.5, 0.5, 1000, dtype=np.float32), 16_000)
        utterances.append(Utterance(name, "fine-tune", path, 1000, 16_000, "word"))
    return utterances


def dataset_of(utterances: list[Utterance], **options: int) -> UtteranceDataset:
    return UtteranceDataset(utterances, target=None, min_samples=400, **options)


def test_kept_audio_is_not_read_again(tmp_path: Path) -> None:
    utterances = two_files(tmp_path)
    dataset = dataset_of(utterances, max_kept_bytes=8000)
    before = [dataset[0].waveform, dataset[1].waveform]
    for utterance in utterances:
        assert utterance.audio is not None
        utterance.audio.unlink()
    for waveform, index in zip(before, (0, 1), strict=True):
        assert torch.equal(waveform, dataset[index].waveform)


def test_audio_beyond_the_limit_is_read_every_time(tmp_path: Path) -> None:
    utterances = two_files(tmp_path)
    dataset = dataset_of(utterances, max_kept_bytes=7999)
    assert dataset[0].error is None
    assert dataset[1].error is None
    for utterance in utterances:
        assert utterance.audio is not None
        utterance.audio.unlink()
    assert dataset[0].error is None
    assert "no such audio file" in str(dataset[1].error)


def test_nothing_is_kept_unless_asked(tmp_path: Path) -> None:
    utterances = two_files(tmp_path)
    dataset = dataset_of(utterances)
    assert dataset[0].error is None
    assert utterances[0].audio is not None
    utterances[0].audio.unlink()
    assert "no such audio file" in str(dataset[0].error)
