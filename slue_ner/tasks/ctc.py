"""CTC training for speech recognition and end-to-end NER: one task, two alphabets."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.evaluation.score import score
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.tasks.base import Task
from slue_ner.tasks.emissions import ctc_losses, decode
from slue_ner.tasks.ranks import gather
from slue_ner.tasks.targets import target_ids
from slue_ner.text.vocabulary import Vocabulary


class CTCTask(Task):
    """Trains a ``CTCModel``; the best weights are chosen on the tune split.

    Args:
        model: encoder, mixing and head, already adapted.
        vocabulary: what the head's outputs mean.
        monitor: ``f1`` or ``wer``.
        common: as ``Task``.
    """

    model: CTCModel
    vocabulary: Vocabulary

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
        """As ``Task.target``."""
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
        self._tune_predictions += decode(emissions, batch.ids, self.model, self.vocabulary)

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
