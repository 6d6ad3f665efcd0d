"""Frame probabilities to predictions, and how they are read: tuned, kept in a small JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from slue_ner.core.files import read_json, write_json
from slue_ner.core.lines import check_file
from slue_ner.core.listing import list_failures
from slue_ner.core.records import SCHEMA
from slue_ner.core.run_files import FRAMES_FILE
from slue_ner.core.time import Seconds
from slue_ner.core.typed_config import from_mapping
from slue_ner.core.types import Prediction, Progress, Utterance
from slue_ner.decoding.emissions import StoredEmissions
from slue_ner.decoding.frame_spans import FloatArray, FrameDecoding, give_words, spans
from slue_ner.decoding.frame_tuning import TunedDecoding, tune_frames
from slue_ner.evaluation.nel import why_not_localized
from slue_ner.inference.emitting import Emitted, Keep, LiveEmissions, Outputs
from slue_ner.inference.localizing import check_tuning_split
from slue_ner.inference.transcribing import transcripts
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.frame_model import FrameLogits, FrameModel
from slue_ner.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class FramePredictor:
    """A model with a frame head and what is needed to read it.

    Attributes:
        model: trained, in eval mode.
        vocabulary: of its CTC head; ``None`` without one.
        run_dir: the run, which has tuned how its frames are read.
        batch_seconds: padded seconds of audio a batch, where nothing else is asked for.
    """

    model: FrameModel
    vocabulary: Vocabulary | None
    run_dir: Path
    batch_seconds: Seconds = 80.0

    @property
    def decoding(self) -> FrameDecoding:
        """As tuned by the run; the defaults before that."""
        return tuned_decoding(self.run_dir)

    def emit(
        self,
        utterances: Sequence[Utterance],
        *,
        batch_seconds: Seconds | None = None,
        device: torch.device | str = "cpu",
        num_workers: int = 0,
        keep: Keep | None = None,
    ) -> LiveEmissions:
        """What the heads emit for utterances, the frame head first; as ``LiveEmissions``."""
        model = self.model.to(device).eval()

        def forward(waveforms: torch.Tensor, num_samples: torch.Tensor) -> Outputs:
            logits: FrameLogits = model(waveforms, num_samples)
            words = None if logits.emissions is None else logits.emissions.log_probs
            return Outputs(model.log_probs(logits.values), logits.num_frames, words)

        return LiveEmissions(
            forward,
            utterances,
            kind="frames",
            symbols=model.symbols,
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
        """Entities as the run was tuned to read them, with words where a CTC head writes some."""
        emitted = self.emit(utterances, device=device)
        return decode_frames(
            emitted, utterances, decoding=self.decoding, vocabulary=self.vocabulary
        )


def decode_frames(
    emitted: Emitted,
    utterances: Sequence[Utterance],
    *,
    decoding: FrameDecoding,
    vocabulary: Vocabulary | None = None,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Read the frames of every utterance; none is ever left out.

    Without a CTC head a prediction has no text and its entities have no phrase. With one, they
    have the words that lie in them. An utterance without emissions gets an empty prediction with
    ``error``.

    Args:
        emitted: of a frame head; live ones, where a CTC head stands beside it.
        utterances: what to predict, any order.
        decoding: how probabilities become entities.
        vocabulary: of the CTC head; ``None`` without one.
        progress: called with utterances done and in all.

    Returns:
        One prediction per utterance, in the same order.
    """
    asked = {utterance.id for utterance in utterances}
    found: dict[str, Prediction] = {}
    for id in emitted:
        if id not in asked:
            continue
        log_probs = emitted[id]
        prediction = Prediction(id, "", emitted.grid.frame_seconds, len(log_probs))
        if vocabulary is not None:
            assert isinstance(emitted, LiveEmissions)
            words = torch.from_numpy(emitted.words(id))[None]
            emissions = Emissions(words, torch.tensor([len(log_probs)]))
            (prediction,) = transcripts(emissions, [id], emitted.grid, vocabulary)
        entities = spans(np.exp(log_probs), emitted.grid, decoding, emitted.symbols)
        found[id] = replace(prediction, entities=give_words(entities, prediction.words or ()))
        if progress is not None:
            progress(len(found), len(utterances))
    for id in asked - found.keys():
        found[id] = Prediction(id=id, text="", error=emitted.why_not(id))
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]


def tune_predictor(
    predictor: FramePredictor,
    tune: Sequence[Utterance],
    *,
    split: str,
    path: Path,
    device: torch.device | str,
    console: Console,
) -> FrameDecoding:
    """Tune how a run's frames are read, see ``tune_frames``, and keep it.

    Args:
        predictor: with the run's best weights.
        tune: references; those without word times cannot take part, and where none has any the
            decoding stays as it is by default.
        split: name of the references.
        path: the file to keep it in.
        device: where to run.
        console: where the result goes.
    """
    timed = [utterance for utterance in tune if utterance.words is not None]
    if not timed:
        console.print(
            f"frame decoding is not tuned: no utterance of {split} has word times", highlight=False
        )
        write_decoding(path, FrameDecoding())
        return FrameDecoding()
    emitted = predictor.emit(timed, device=device)
    probabilities = {id: np.exp(emitted[id]) for id in emitted}
    failures = list_failures(
        [
            Prediction(u.id, "", error=None if u.id in probabilities else emitted.why_not(u.id))
            for u in timed
        ]
    )
    if failures is not None:
        console.print(f"{split}: {failures}", highlight=False, markup=False)
    tuned = tune_frames(tune, probabilities, emitted.grid, predictor.model.symbols)
    console.print(f"{tuned} on {split}", highlight=False)
    write_decoding(
        path,
        tuned.decoding,
        tuned_on=split,
        frame_f1=tuned.frame_f1,
        label_frame_f1=tuned.label_frame_f1,
    )
    return tuned.decoding


def tune_stored_frames(
    emissions: StoredEmissions, references: Sequence[Utterance]
) -> TunedDecoding:
    """Search how stored frames are read, see ``tune_frames``.

    Raises:
        ValueError: for emissions of a CTC head, and for references of a split named test, or
            without word times or emissions.
    """
    check_tuning_split(references)
    check_of_frames(emissions)
    if obstacle := why_not_localized(references):
        raise ValueError(f"{obstacle}, so nothing can be tuned; `slue-ner align` makes word times")
    emissions.check_holds_any(references)
    return tune_frames(references, _Probabilities(emissions), emissions.grid, emissions.symbols)


def check_of_frames(emissions: StoredEmissions) -> None:
    """Refuse stored emissions of another head.

    Raises:
        ValueError: saying how to make those that are needed.
    """
    if emissions.kind != "frames":
        raise ValueError(
            f"{emissions.folder} holds emissions of a {emissions.kind} head, not of a frame "
            "head; `slue-ner predict` of a run of task=frames writes some with --emissions"
        )


class _Probabilities(Mapping[str, FloatArray]):
    """Probabilities ``(T, C)`` by id, made when asked for."""

    def __init__(self, emitted: Emitted) -> None:
        self._emitted = emitted

    def __getitem__(self, id: str) -> FloatArray:
        if id not in self._emitted:
            raise KeyError(id)
        return np.exp(self._emitted[id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._emitted)

    def __len__(self) -> int:
        return len(self._emitted)


def tuned_decoding(run_dir: Path) -> FrameDecoding:
    """How a run tuned its frames to be read; the defaults before that."""
    path = run_dir / FRAMES_FILE
    return read_decoding(path) if path.is_file() else FrameDecoding()


def write_decoding(
    path: Path,
    decoding: FrameDecoding,
    *,
    tuned_on: str | None = None,
    frame_f1: float | None = None,
    label_frame_f1: float | None = None,
) -> None:
    """Write thresholds and lengths as JSON, with remarks on where they come from."""
    scores = {"frame_f1": frame_f1, "label_frame_f1": label_frame_f1}
    values = {"decoding": asdict(decoding), "tuned_on": tuned_on, **scores}
    write_json(path, {"schema": SCHEMA, **values})


def read_decoding(path: Path) -> FrameDecoding:
    """Read what ``write_decoding`` wrote.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    check_file(path, hint="`slue-ner tune frames` writes one")
    record = read_json(path)
    if not isinstance(record, dict) or "decoding" not in record:
        raise ValueError(
            f"{path} is neither what a run of task=frames nor what `slue-ner tune frames` writes"
        )
    return from_mapping(FrameDecoding, record["decoding"], where=f"{path}: decoding")
