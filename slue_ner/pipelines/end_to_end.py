"""Utterances to predictions with one CTC model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slue_ner.core.files import sha256
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading.loaders import evaluation_loader
from slue_ner.decoding.beam import BeamDecoder
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.stored_emissions import StoredEmissions
from slue_ner.decoding.transcript import to_prediction
from slue_ner.models.ctc_model import CTCModel
from slue_ner.tasks.building import CHECKPOINTS
from slue_ner.tasks.emissions import decode
from slue_ner.text.vocabulary import Vocabulary

_UTTERANCES_AT_ONCE = 64


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
    decoder: BeamDecoder | None = None,
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
        decoder: a beam search over the model's symbols; ``None`` decodes greedily.

    Returns:
        One prediction per utterance, in the same order.
    """
    model = model.to(device).eval()
    loader = evaluation_loader(
        utterances,
        batch_seconds=batch_seconds,
        num_workers=num_workers,
        min_samples=model.encoder.grid.window,
        filled_to=model.encoder.filled_to,
    )
    found: dict[str, Prediction] = {}
    for batch in loader:
        for id, reason in batch.unreadable:
            found[id] = Prediction(id=id, text="", error=reason)
        if len(batch):
            moved = batch.to(device)
            emitted = model(moved.waveforms, moved.num_samples)
            if decoder is None:
                for prediction in decode(emitted, batch.ids, model, vocabulary):
                    found[prediction.id] = prediction
            if emissions is not None or decoder is not None:
                padded = emitted.log_probs.float().cpu().numpy()  # (B, T, V)
                lengths = emitted.num_frames.tolist()
                of_id = {
                    id: rows[:length]
                    for id, rows, length in zip(batch.ids, padded, lengths, strict=True)
                }
                if emissions is not None:
                    for id, rows in of_id.items():
                        emissions(id, rows)
                if decoder is not None:
                    for prediction in _searched(of_id, decoder, vocabulary, model.grid):
                        found[prediction.id] = prediction
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]


def predict_stored(
    emissions: StoredEmissions,
    utterances: Sequence[Utterance],
    *,
    vocabulary: Vocabulary,
    decoder: BeamDecoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Predict from stored emissions, without the model.

    An utterance without emissions (its audio could not be read when they were made) gets an
    empty prediction with ``error`` set.

    Args:
        emissions: what ``predict`` stored.
        utterances: what to predict, any order.
        vocabulary: the one the model was trained with.
        decoder: a beam search over its symbols; ``None`` decodes greedily.
        progress: called with utterances done and in all.

    Returns:
        One prediction per utterance, in the same order.

    Raises:
        ValueError: when no utterance has emissions.
    """
    emissions.check_holds_any(utterances)
    found: dict[str, Prediction] = {}
    for first in range(0, len(utterances), _UTTERANCES_AT_ONCE):
        ids = [utterance.id for utterance in utterances[first : first + _UTTERANCES_AT_ONCE]]
        of_id = {id: emissions[id] for id in ids if id in emissions}
        if decoder is None:
            made = [_greedy(id, rows, vocabulary, emissions.grid) for id, rows in of_id.items()]
        else:
            made = _searched(of_id, decoder, vocabulary, emissions.grid)
        found |= {prediction.id: prediction for prediction in made}
        for id in ids:
            error = f"{emissions.folder} has no emissions of {id}"
            found.setdefault(id, Prediction(id=id, text="", error=error))
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]


def _greedy(
    id: str, log_probs: NDArray[np.float32], vocabulary: Vocabulary, grid: FrameGrid
) -> Prediction:
    num_frames = len(log_probs)
    (tokens,) = greedy(
        torch.from_numpy(log_probs)[None], torch.tensor([num_frames]), vocabulary.symbols
    )
    return to_prediction(id, tokens, labels=vocabulary.label_set, grid=grid, num_frames=num_frames)


def _searched(
    log_probs: Mapping[str, NDArray[np.float32]],
    decoder: BeamDecoder,
    vocabulary: Vocabulary,
    grid: FrameGrid,
) -> list[Prediction]:
    """Predictions of a few utterances, as many at once as torch has threads."""
    tokens = decoder.decode_all(log_probs.values(), threads=torch.get_num_threads())
    return [
        to_prediction(id, spans, labels=vocabulary.label_set, grid=grid, num_frames=len(rows))
        for (id, rows), spans in zip(log_probs.items(), tokens, strict=True)
    ]


def weights_hash(run_dir: Path, weights: str = "best") -> str:
    """sha256 of a run's weights file, ``best`` or ``last``: what its emissions are marked with."""
    path = run_dir / CHECKPOINTS / f"{weights}.safetensors"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; has the run written a checkpoint yet?")
    return sha256(path)
