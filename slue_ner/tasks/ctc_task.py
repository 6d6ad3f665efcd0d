"""CTC training for speech recognition and end-to-end NER: what a head is to write, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from rich.console import Console
from torch import Tensor

from slue_ner.core.labels import label_set
from slue_ner.core.run_files import LOCALIZER_FILE
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.corpora.dataset import check_has_entities, check_labelled
from slue_ner.data.loading.batch import Batch
from slue_ner.decoding.ctc import BLANK_ID, min_frames
from slue_ner.evaluation.score import score
from slue_ner.inference.localizer_fit import fit_localizer
from slue_ner.inference.transcribing import CTCPredictor, transcripts
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import build_mixing
from slue_ner.text.marks import survives
from slue_ner.text.markup import target_words, to_symbols
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.module import SpeechModule
from slue_ner.training.ranks import gather
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.speech import (
    SpeechConfig,
    adapted_encoder,
    built_speech,
    check_heard_at_once,
    limits,
    restored_encoder,
)
from slue_ner.training.task import Built, Task, TrainingData


@dataclass(kw_only=True)
class CTC(Task):
    """CTC training: speech recognition and end-to-end NER, one task with two alphabets.

    Attributes:
        target: ``plain`` words (speech recognition) or ``tagged`` ones (end-to-end NER).
        labels: label set of the entity marks, ``combined``, ``raw`` or one's own; unused when
            plain.
        monitor: ``f1`` or ``wer`` on tune; decides which checkpoint is best.
    """

    config_type: ClassVar[type[SpeechConfig]] = SpeechConfig

    target: str
    labels: str
    monitor: str

    def __post_init__(self) -> None:
        if self.target not in ("plain", "tagged"):
            raise ValueError(f"task.target={self.target!r} should be plain or tagged")
        if self.monitor not in ("f1", "wer"):
            raise ValueError(f"task.monitor={self.monitor!r} should be f1 or wer")
        if self.target == "plain" and self.monitor == "f1":
            raise ValueError("task.monitor=f1 needs task.target=tagged; use task.monitor=wer")

    def build(self, config: SpeechConfig, data: TrainingData) -> Built:
        """As ``Task.build``."""
        if self.target == "tagged":
            check_labelled(data.train)
            check_has_entities(data.train)
        marks = self.labels if self.target == "tagged" else None
        vocabulary = data.vocabulary or characters(data.train, marks)
        encoder, report = adapted_encoder(config)
        model = ctc_model(config, encoder, vocabulary)
        kept, left_out = select(data.train, vocabulary, model.grid, **limits(config))
        check_heard_at_once(kept, encoder, config)
        module = CTCModule(
            model,
            vocabulary=vocabulary,
            monitor=self.monitor,
            report=report,
            optim=config.optim,
            max_updates=config.trainer.max_updates,
            tune=tunable(data.tune, vocabulary, left_out, split=config.data.tune),
            num_train=len(kept),
        )
        return built_speech(
            config, module, kept, data.tune, left_out=left_out, vocabulary=vocabulary
        )

    def finish(
        self, config: SpeechConfig, folder: RunFolder, *, device: torch.device, console: Console
    ) -> None:
        """Fit rule and offset of its times on tune, see ``inference.localizer_fit``."""
        fit_localizer(
            self.restore(config, folder),
            config.data.tune_manifest,
            folder.path / LOCALIZER_FILE,
            device=device,
            console=console,
        )

    def restore(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> CTCPredictor:
        """As ``Task.restore``."""
        vocabulary = folder.vocabulary()
        model = ctc_model(config, restored_encoder(config, folder, weights=weights), vocabulary)
        folder.load_into(model, weights=weights, vocabulary=vocabulary)
        return CTCPredictor(
            model.eval(),
            vocabulary,
            batch_seconds=config.data.batch_seconds,
            run_dir=folder.path,
        )

    def restore_encoder(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> SpeechEncoder:
        """As ``Task.restore_encoder``."""
        return self.restore(config, folder, weights=weights).model.encoder


class CTCModule(SpeechModule):
    """Trains a ``CTCModel``; the best weights are chosen on the tune split.

    Args:
        model: encoder, mixing and head, already adapted.
        vocabulary: what the head's outputs mean.
        monitor: ``f1`` or ``wer``.
        common: as ``SpeechModule``.
    """

    model: CTCModel
    vocabulary: Vocabulary
    reads_states = True

    def __init__(
        self, model: CTCModel, *, vocabulary: Vocabulary, monitor: str, **common: Any
    ) -> None:
        super().__init__(model, **common)
        self.vocabulary = vocabulary
        self.monitor = monitor
        self.maximize = monitor == "f1"
        self._tune_predictions: list[Prediction] = []
        self._tune_loss = [0.0, 0.0]  # summed loss, symbols

    def target(self, utterance: Utterance) -> list[int]:
        """As ``SpeechModule.target``."""
        return target_ids(utterance, self.vocabulary)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss per target symbol, and the loss of each utterance."""
        losses = ctc_losses(self._emissions(batch), batch)
        return losses.sum() / batch.num_targets.sum(), losses

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Decode one batch of the tune split."""
        self._tune_predictions += [
            Prediction(id=id, text="", error=reason) for id, reason in batch.unreadable
        ]
        if not len(batch):
            return
        emissions = self._emissions(batch)
        losses = ctc_losses(emissions, batch)
        fits = ~losses.isposinf()  # targets longer than the audio still count in F1 and WER
        self.check_finite(batch.ids, ~losses.isnan())
        self._tune_loss[0] += float(losses[fits].sum())
        self._tune_loss[1] += float(batch.num_targets[fits].sum())
        self._tune_predictions += transcripts(
            emissions, batch.ids, self.model.grid, self.vocabulary
        )

    def _emissions(self, batch: Batch) -> Emissions:
        if batch.states is not None:
            return self.model.read_states(batch.states, batch.num_samples)
        emissions: Emissions = self.model(batch.waveforms, batch.num_samples)
        return emissions

    def on_validation_epoch_end(self) -> None:
        """Score the whole tune split and log ``val_monitor``."""
        predictions = [p for part in gather(self._tune_predictions) for p in part]
        parts = gather(self._tune_loss)
        loss, num_symbols = (sum(part[i] for part in parts) for i in range(2))
        self._tune_predictions, self._tune_loss = [], [0.0, 0.0]
        scores = score(self.tune, predictions, intervals=None).to_json()
        metrics = {
            "step": float(self.global_step),
            "val_loss": loss / max(1.0, num_symbols),
            "val_wer": scores.get("wer", 0.0),
            "val_cer": scores.get("cer", 0.0),
        }
        if self.vocabulary.labels is not None:
            metrics["val_f1"] = scores["ner"]["micro"]["f1"]
            metrics["val_label_f1"] = scores["ner_label"]["micro"]["f1"]
        metrics["val_monitor"] = metrics[f"val_{self.monitor}"]
        self.log_dict(metrics, sync_dist=True)  # equal on every rank; saying so is required


def target_ids(utterance: Utterance, vocabulary: Vocabulary) -> list[int]:
    """The symbol ids a CTC head is trained on, ``U`` of them."""
    return vocabulary.encode(to_symbols(target_words(utterance, vocabulary.label_set)))


LOST_IN_SYMBOLS = "entity marks or '|' among the words (`slue-ner prepare --marks`)"
"""Why an utterance is left out, in words for a user."""


def readable(
    utterances: Sequence[Utterance], vocabulary: Vocabulary
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances whose text comes back from its symbols, and the ids of others by reason."""
    kept = [u for u in utterances if survives(u, vocabulary.label_set)]
    ids = {utterance.id for utterance in kept}
    lost = [utterance.id for utterance in utterances if utterance.id not in ids]
    return kept, {LOST_IN_SYMBOLS: lost} if lost else {}


def select(
    utterances: Sequence[Utterance],
    vocabulary: Vocabulary,
    grid: FrameGrid,
    *,
    max_seconds: Seconds | None,
    speed: float = 1.0,
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances that can be trained on, and the ids of the others by reason.

    CTC needs a frame for every target symbol and one more between equal neighbours; PyTorch's
    ``zero_infinity`` would hide an utterance with fewer as a loss of zero.

    Args:
        utterances: of the training split.
        vocabulary: of the run.
        grid: of the emissions.
        max_seconds: longest audio to train on; ``None`` for any.
        speed: fastest that augmentation may play it.
    """
    kept: list[Utterance] = []
    utterances, left_out = readable(utterances, vocabulary)
    for utterance in utterances:
        num_frames = grid.num_frames(int((utterance.num_samples or 0) / speed))
        target = target_ids(utterance, vocabulary)
        if not target:
            left_out.setdefault("no words", []).append(utterance.id)
        elif max_seconds is not None and utterance.duration > max_seconds:
            left_out.setdefault(f"longer than {max_seconds:g} s", []).append(utterance.id)
        elif min_frames(target) > num_frames:
            left_out.setdefault("more symbols than frames", []).append(utterance.id)
        else:
            kept.append(utterance)
    return kept, left_out


def tunable(
    tune: Sequence[Utterance],
    vocabulary: Vocabulary,
    left_out: dict[str, list[str]],
    *,
    split: str,
) -> list[Utterance]:
    """What of tune can be written as symbols; the rest is put under ``left_out``."""
    kept, lost = readable(tune, vocabulary)
    left_out |= {f"on tune, {reason}": ids for reason, ids in lost.items()}
    if tune and not kept:
        raise ValueError(f"data.tune={split} cannot be tuned on: all texts have {LOST_IN_SYMBOLS}")
    return kept


def characters(train: Sequence[Utterance], labels: str | None) -> Vocabulary:
    """The characters of the transcripts, with the marks of a label set."""
    marks = None if labels is None else label_set(labels)
    return Vocabulary.build((utterance.text for utterance in train), marks)


def ctc_losses(emissions: Emissions, batch: Batch) -> Tensor:
    """Negative log-likelihood of each target, ``(B,)`` float32; inf where it cannot fit."""
    with torch.autocast(emissions.log_probs.device.type, enabled=False):
        return torch.nn.functional.ctc_loss(
            emissions.log_probs.float().transpose(0, 1),  # (T, B, V)
            batch.targets,
            emissions.num_frames,
            batch.num_targets,
            blank=BLANK_ID,
            reduction="none",
        )


def ctc_head(config: SpeechConfig, encoder: SpeechEncoder, vocabulary: Vocabulary) -> CTCHead:
    """A CTC head on the frames of an encoder, at the start of training."""
    return CTCHead(
        encoder.hidden_size,
        vocabulary_size=len(vocabulary),
        dropout=config.head.dropout,
        blocks=config.head,
    )


def ctc_model(config: SpeechConfig, encoder: SpeechEncoder, vocabulary: Vocabulary) -> CTCModel:
    """An adapted encoder with mixing and head, at the start of training."""
    mixing = build_mixing(config.mixing, num_layers=encoder.num_layers)
    return CTCModel(encoder, mixing, ctc_head(config, encoder, vocabulary))
