"""Utterances to predictions with one CTC model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slue_ner.core.files import sha256
from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading import evaluation_loader
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.stored_emissions import StoredEmissions
from slue_ner.decoding.transcript import to_prediction
from slue_ner.models.ctc_model import CTCModel
from slue_ner.tasks.building import CHECKPOINTS
from slue_ner.tasks.emissions import decode
from slue_ner.text.vocabulary import Vocabulary


@torch.inference_mode()
def predict(
    model: CTCModel,
    utterances: Sequence[Utterance],
    *,
    vocabulary: Vocabulary,
    batch_seconds: Seconds,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    emissions: Callable[[str, NDArray[np.float32]], None] | None = None,
) -> list[Prediction]:
    """Predict every utterance; none is ever left out.

    An utterance whose audio cannot be read, or is shorter than one frame, gets an empty
    prediction with ``error`` set, and scores as missed.

    Args:
        model: a trained model; it is moved to ``device`` and put in eval mode.
        utterances: what to predict, any order.
        vocabulary: the one the model was trained with.
        batch_seconds: padded seconds of audio a batch; changes speed and memory, not results.
        device: where to run.
        num_workers: loader processes.
        progress: called with utterances done and in all.
        emissions: called with the id and log-probabilities ``(T, V)`` of each utterance that
            could be read, such as ``EmissionsWriter.add``.

    Returns:
        One prediction per utterance, in the same order.
    """
    model = model.to(device).eval()
    loader = evaluation_loader(
        utterances,
        batch_seconds=batch_seconds,
        num_workers=num_workers,
        min_samples=model.encoder.grid.window,
    )
    found: dict[str, Prediction] = {}
    for batch in loader:
        for id, reason in batch.unreadable:
            found[id] = Prediction(id=id, text="", error=reason)
        if len(batch):
            moved = batch.to(device)
            emitted = model(moved.waveforms, moved.num_samples)
            for prediction in decode(emitted, batch.ids, model, vocabulary):
                found[prediction.id] = prediction
            if emissions is not None:
                log_probs = emitted.log_probs.float().cpu().numpy()  # (B, T, V)
                lengths = emitted.num_frames.tolist()
                for id, rows, length in zip(batch.ids, log_probs, lengths, strict=True):
                    emissions(id, rows[:length])
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]


def predict_stored(
    emissions: StoredEmissions, utterances: Sequence[Utterance], *, vocabulary: Vocabulary
) -> list[Prediction]:
    """Predict from stored emissions, without the model.

    An utterance without emissions (its audio could not be read when they were made) gets an
    empty prediction with ``error`` set.

    Args:
        emissions: what ``predict`` stored.
        utterances: what to predict, any order.
        vocabulary: the one the model was trained with.

    Returns:
        One prediction per utterance, in the same order.
    """
    return [_from_stored(emissions, utterance.id, vocabulary) for utterance in utterances]


def _from_stored(emissions: StoredEmissions, id: str, vocabulary: Vocabulary) -> Prediction:
    if id not in emissions:
        return Prediction(id=id, text="", error=f"{emissions.folder} has no emissions of {id}")
    log_probs = torch.from_numpy(emissions[id])  # (T, V)
    num_frames = len(log_probs)
    (tokens,) = greedy(log_probs[None], torch.tensor([num_frames]), vocabulary.symbols)
    return to_prediction(
        id, tokens, labels=vocabulary.label_set, grid=emissions.grid, num_frames=num_frames
    )


def weights_hash(run_dir: Path, weights: str = "best") -> str:
    """sha256 of a run's weights file, ``best`` or ``last``: what its emissions are marked with."""
    path = run_dir / CHECKPOINTS / f"{weights}.safetensors"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; has the run written a checkpoint yet?")
    return sha256(path)
