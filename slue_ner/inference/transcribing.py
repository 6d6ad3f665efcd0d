"""CTC emissions to predictions: words, and entities where the symbols have marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from slue_ner.core.labels import LabelSet
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Prediction, Progress, Utterance
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.transcript import to_prediction, with_marks_apart
from slue_ner.inference.emitting import Emitted, Keep, LiveEmissions, LogProbs, Outputs
from slue_ner.inference.localizing import localize_all, run_localizer
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.text.vocabulary import Vocabulary

_PER_THREAD = 8  # utterances that wait for a search


@dataclass(frozen=True)
class CTCPredictor:
    """A CTC model and what is needed to read it.

    Attributes:
        model: trained, in eval mode.
        vocabulary: the one it was trained with.
        batch_seconds: padded seconds of audio a batch, where nothing else is asked for.
        run_dir: the run, whose localizer gives entities their times; ``None`` leaves them as
            decoded.
    """

    model: CTCModel
    vocabulary: Vocabulary
    batch_seconds: Seconds = 80.0
    run_dir: Path | None = None

    def emit(
        self,
        utterances: Sequence[Utterance],
        *,
        batch_seconds: Seconds | None = None,
        device: torch.device | str = "cpu",
        num_workers: int = 0,
        keep: Keep | None = None,
    ) -> LiveEmissions:
        """What the model emits for utterances; arguments as ``LiveEmissions``."""
        model = self.model.to(device).eval()

        def forward(waveforms: torch.Tensor, num_samples: torch.Tensor) -> Outputs:
            emissions: Emissions = model(waveforms, num_samples)
            return Outputs(emissions.log_probs, emissions.num_frames)

        return LiveEmissions(
            forward,
            utterances,
            kind="ctc",
            symbols=self.vocabulary.symbols,
            grid=model.grid,
            batch_seconds=batch_seconds or self.batch_seconds,
            filled_to=model.encoder.filled_to,
            device=device,
            num_workers=num_workers,
            keep=keep,
        )

    def predict(
        self, utterances: Sequence[Utterance], *, device: torch.device | str = "cpu"
    ) -> list[Prediction]:
        """Greedy transcripts, their entities at the times of the run's own localizer."""
        emitted = self.emit(utterances, device=device)
        predictions = decode(emitted, utterances, vocabulary=self.vocabulary)
        localizer = None if self.run_dir is None else run_localizer(self.run_dir)
        return predictions if localizer is None else localize_all(predictions, localizer.options)


def decode(
    emitted: Emitted,
    utterances: Sequence[Utterance],
    *,
    vocabulary: Vocabulary,
    decoder: BeamDecoder | None = None,
    marks_apart: bool = False,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Decode the emissions of every utterance; none is ever left out.

    An utterance without emissions (its audio cannot be read, or is shorter than one frame) gets
    an empty prediction with ``error`` set, and scores as missed.

    Args:
        emitted: of a CTC head.
        utterances: what to predict, any order.
        vocabulary: the one the model was trained with.
        decoder: a beam search over its symbols; ``None`` decodes greedily.
        marks_apart: read a mark that is glued to letters as a mark, see
            ``decoding.transcript.with_marks_apart``.
        progress: called with utterances done and in all.

    Returns:
        One prediction per utterance, in the same order.
    """
    asked = {utterance.id for utterance in utterances}
    found: dict[str, Prediction] = {}
    at_once = 1 if decoder is None else _PER_THREAD * torch.get_num_threads()
    for rows in _chunks(((id, emitted[id]) for id in emitted if id in asked), at_once):
        if decoder is None:
            made = [_greedy(id, of_id, vocabulary, emitted.grid) for id, of_id in rows]
        else:
            made = _searched(rows, decoder, vocabulary, emitted.grid)
        found |= {prediction.id: prediction for prediction in made}
        if progress is not None:
            progress(len(found), len(utterances))
    for id in asked - found.keys():
        found[id] = Prediction(id=id, text="", error=emitted.why_not(id))
        if progress is not None:
            progress(len(found), len(utterances))
    predictions = [found[utterance.id] for utterance in utterances]
    if not marks_apart or vocabulary.label_set is None:
        return predictions
    return [_reread(prediction, vocabulary.label_set, emitted.grid) for prediction in predictions]


def _reread(prediction: Prediction, labels: LabelSet, grid: FrameGrid) -> Prediction:
    """The prediction with its marks apart."""
    if prediction.tokens is None or prediction.num_frames is None:
        return prediction
    tokens = with_marks_apart(prediction.tokens, labels)
    return to_prediction(
        prediction.id, tokens, labels=labels, grid=grid, num_frames=prediction.num_frames
    )


def transcripts(
    emissions: Emissions, ids: Sequence[str], grid: FrameGrid, vocabulary: Vocabulary
) -> list[Prediction]:
    """Greedy transcripts with entities of one batch."""
    tokens = greedy(emissions.log_probs, emissions.num_frames, vocabulary.symbols)
    labels = vocabulary.label_set
    return [
        to_prediction(id, spans, labels=labels, grid=grid, num_frames=num_frames)
        for id, spans, num_frames in zip(ids, tokens, emissions.num_frames.tolist(), strict=True)
    ]


def _greedy(id: str, rows: LogProbs, vocabulary: Vocabulary, grid: FrameGrid) -> Prediction:
    emissions = Emissions(torch.from_numpy(rows)[None], torch.tensor([len(rows)]))
    (prediction,) = transcripts(emissions, [id], grid, vocabulary)
    return prediction


def _searched(
    rows: Sequence[tuple[str, LogProbs]],
    decoder: BeamDecoder,
    vocabulary: Vocabulary,
    grid: FrameGrid,
) -> list[Prediction]:
    """Predictions of a few utterances, as many at once as torch has threads."""
    tokens = decoder.decode_all([of_id for _, of_id in rows], threads=torch.get_num_threads())
    labels = vocabulary.label_set
    return [
        to_prediction(id, spans, labels=labels, grid=grid, num_frames=len(of_id))
        for (id, of_id), spans in zip(rows, tokens, strict=True)
    ]


def _chunks(
    rows: Iterable[tuple[str, LogProbs]], size: int
) -> Iterator[list[tuple[str, LogProbs]]]:
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk
