"""Utterances to predictions with a frame model, and the tuning of how its frames are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from slue_ner.core.listing import list_failures
from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading.loaders import evaluation_loader
from slue_ner.decoding.frame_tuning import tune_frames
from slue_ner.decoding.frames import FloatArray, FrameDecoding, give_words, spans
from slue_ner.models.frame_model import FrameModel
from slue_ner.pipelines.frames_file import FRAMES_FILE, tuned_decoding, write_decoding
from slue_ner.pipelines.run_files import CONFIG_FILE, read_config
from slue_ner.tasks.building import trained_frame_model
from slue_ner.tasks.config import TrainConfig, train_config
from slue_ner.tasks.emissions import decode
from slue_ner.tasks.frame_targets import FrameOptions
from slue_ner.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class FrameRun:
    """A run of ``task=frames``, ready to predict.

    Attributes:
        vocabulary: of the CTC head; ``None`` without one.
        decoding: as tuned by the run; the defaults before that.
    """

    config: TrainConfig
    model: FrameModel
    vocabulary: Vocabulary | None
    decoding: FrameDecoding


def load_frame_run(run_dir: Path, *, weights: str = "best") -> FrameRun:
    """Load the model of a run folder.

    Args:
        run_dir: the folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming what is missing, damaged or of another task.
    """
    config, options = frame_config(run_dir)
    model, vocabulary = trained_frame_model(config, options, run_dir, weights=weights)
    return FrameRun(config, model, vocabulary, tuned_decoding(run_dir))


def frame_config(run_dir: Path) -> tuple[TrainConfig, FrameOptions]:
    """The config of a run of ``task=frames``, and its task; errors as in ``load_frame_run``."""
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run folder: it has no {CONFIG_FILE}")
    config = train_config(read_config(path))
    if not isinstance(config.task, FrameOptions):
        raise ValueError(f"{run_dir} has no frame head; train one with task=frames")
    return config, config.task


def predict_frames(
    model: FrameModel,
    utterances: Sequence[Utterance],
    *,
    vocabulary: Vocabulary | None,
    decoding: FrameDecoding,
    batch_seconds: Seconds,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    emissions: Callable[[str, FloatArray], None] | None = None,
) -> list[Prediction]:
    """Predict every utterance; none is ever left out.

    Without a CTC head a prediction has no text and its entities have no phrase. With one, they
    have the words that lie in them. Unreadable audio gives an empty prediction with ``error``.

    Args:
        model: a trained model; it is moved to ``device`` and put in eval mode.
        utterances: what to predict, any order.
        vocabulary: of the CTC head; ``None`` without one.
        decoding: how probabilities become entities.
        batch_seconds: padded seconds of audio a batch; changes speed and memory, not results.
        device: where to run.
        num_workers: loader processes.
        progress: called with utterances done and in all.
        emissions: called with the id and frame log-probabilities ``(T, C)`` of each utterance
            that could be read, such as ``EmissionsWriter.add``.

    Returns:
        One prediction per utterance, in the same order.
    """
    found: dict[str, Prediction] = {}
    for heard in _hear(
        model,
        utterances,
        vocabulary=vocabulary,
        batch_seconds=batch_seconds,
        device=device,
        num_workers=num_workers,
    ):
        found[heard.prediction.id] = heard.prediction
        if heard.log_probs is not None:
            found[heard.prediction.id] = _with_entities(heard, heard.log_probs, model, decoding)
            if emissions is not None:
                emissions(heard.prediction.id, heard.log_probs)
        if progress is not None:
            progress(len(found), len(utterances))
    return [found[utterance.id] for utterance in utterances]


def tune_run(
    run_dir: Path, tune: Sequence[Utterance], *, device: torch.device | str, console: Console
) -> FrameDecoding:
    """Tune how a run's frames are read, see ``tune_frames``, and keep it in the run folder.

    Args:
        run_dir: of a trained run.
        tune: references; those without word times cannot take part, and where none has any the
            decoding stays as it is by default.
        device: where to run.
        console: where the result goes.
    """
    run = load_frame_run(run_dir)
    split = run.config.data.tune
    if all(utterance.words is None for utterance in tune):
        console.print(
            f"frame decoding is not tuned: no utterance of {split} has word times", highlight=False
        )
        write_decoding(run_dir / FRAMES_FILE, FrameDecoding())
        return FrameDecoding()
    heard = list(
        _hear(
            run.model,
            [utterance for utterance in tune if utterance.words is not None],
            vocabulary=None,
            batch_seconds=run.config.data.batch_seconds,
            device=device,
        )
    )
    failures = list_failures([one.prediction for one in heard])
    if failures is not None:
        console.print(f"{split}: {failures}", highlight=False, markup=False)
    probabilities = {
        one.prediction.id: np.exp(one.log_probs) for one in heard if one.log_probs is not None
    }
    tuned = tune_frames(tune, probabilities, run.model.grid, run.model.symbols)
    console.print(f"{tuned} on {split}", highlight=False)
    write_decoding(
        run_dir / FRAMES_FILE,
        tuned.decoding,
        tuned_on=split,
        frame_f1=tuned.frame_f1,
        label_frame_f1=tuned.label_frame_f1,
    )
    return tuned.decoding


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the heads say about one utterance: text from CTC if any, ``(T, C)`` from the frames."""

    prediction: Prediction
    log_probs: FloatArray | None = None


@torch.inference_mode()
def _hear(
    model: FrameModel,
    utterances: Sequence[Utterance],
    *,
    vocabulary: Vocabulary | None,
    batch_seconds: Seconds,
    device: torch.device | str,
    num_workers: int = 0,
) -> Iterator[_Heard]:
    model = model.to(device).eval()
    loader = evaluation_loader(
        utterances,
        batch_seconds=batch_seconds,
        num_workers=num_workers,
        min_samples=model.grid.window,
        filled_to=model.encoder.filled_to,
    )
    for batch in loader:
        for id, reason in batch.unreadable:
            yield _Heard(Prediction(id=id, text="", error=reason))
        if not len(batch):
            continue
        moved = batch.to(device)
        logits = model(moved.waveforms, moved.num_samples)
        lengths = logits.num_frames.tolist()
        if vocabulary is None:
            seconds = model.grid.frame_seconds
            said = [
                Prediction(id, "", seconds, n) for id, n in zip(batch.ids, lengths, strict=True)
            ]
        else:
            said = decode(logits.emissions, batch.ids, model, vocabulary)
        log_probs = model.log_probs(logits.values).cpu().numpy()  # (B, T, C)
        for prediction, row, length in zip(said, log_probs, lengths, strict=True):
            yield _Heard(prediction, row[:length])


def _with_entities(
    heard: _Heard, log_probs: FloatArray, model: FrameModel, decoding: FrameDecoding
) -> Prediction:
    entities = spans(np.exp(log_probs), model.grid, decoding, model.symbols)
    words = heard.prediction.words or ()
    return replace(heard.prediction, entities=give_words(entities, words))
