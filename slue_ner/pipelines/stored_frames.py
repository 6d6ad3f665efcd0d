"""Frame probabilities on disk to predictions, and how they are read tuned, without the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.frame_tuning import TunedDecoding, tune_frames
from slue_ner.decoding.frames import FloatArray, FrameDecoding, spans
from slue_ner.decoding.stored_emissions import StoredEmissions
from slue_ner.evaluation.nel import nel_obstacle
from slue_ner.pipelines.localizing import check_tuning_split


def predict_stored_frames(
    emissions: StoredEmissions, utterances: Sequence[Utterance], *, decoding: FrameDecoding
) -> list[Prediction]:
    """Predict from what ``predict_frames`` stored of a model without a CTC head.

    An utterance without emissions (its audio could not be read when they were made) gets an
    empty prediction with ``error`` set.

    Args:
        emissions: of a frame head.
        utterances: what to predict, any order.
        decoding: how probabilities become entities.

    Returns:
        One prediction per utterance, in the same order.

    Raises:
        ValueError: for emissions of a CTC head, or of none of the utterances.
    """
    emissions.check_holds_any(utterances)
    probabilities = _Probabilities(emissions)
    return [_predicted(probabilities, utterance.id, decoding) for utterance in utterances]


def tune_stored_frames(
    emissions: StoredEmissions, references: Sequence[Utterance]
) -> TunedDecoding:
    """Search how stored frames are read, see ``tune_frames``.

    Raises:
        ValueError: for emissions of a CTC head, and for references of a split named test, or
            without word times or emissions.
    """
    check_tuning_split(references)
    probabilities = _Probabilities(emissions)
    if obstacle := nel_obstacle(references):
        raise ValueError(f"{obstacle}, so nothing can be tuned; `slue-ner align` makes word times")
    emissions.check_holds_any(references)
    return tune_frames(references, probabilities, emissions.grid, emissions.symbols)


class _Probabilities(Mapping[str, FloatArray]):
    """Probabilities ``(T, C)`` by id, read from disk when asked for."""

    def __init__(self, emissions: StoredEmissions) -> None:
        if emissions.kind != "frames":
            raise ValueError(
                f"{emissions.folder} holds emissions of a {emissions.kind} head, not of a frame "
                "head; `slue-ner predict` of a run of task=frames writes some with --emissions"
            )
        self.emissions = emissions

    def __getitem__(self, id: str) -> FloatArray:
        if id not in self.emissions:
            raise KeyError(id)
        return np.exp(self.emissions[id])

    def __iter__(self) -> Iterator[str]:
        return iter(self.emissions.ids)

    def __len__(self) -> int:
        return len(self.emissions)


def _predicted(probabilities: _Probabilities, id: str, decoding: FrameDecoding) -> Prediction:
    emissions = probabilities.emissions
    if id not in probabilities:
        return Prediction(id, "", error=f"{emissions.folder} has no emissions of {id}")
    values = probabilities[id]
    entities = spans(values, emissions.grid, decoding, emissions.symbols)
    return Prediction(id, "", emissions.grid.frame_seconds, len(values), entities=tuple(entities))
