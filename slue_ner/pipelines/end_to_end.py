"""Utterances to predictions with one CTC model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading import evaluation_loader
from slue_ner.models.ctc_model import CTCModel
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
            emissions = model(moved.waveforms, moved.num_samples)
            for prediction in decode(emissions, batch.ids, model, vocabulary):
                found[prediction.id] = prediction
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]
