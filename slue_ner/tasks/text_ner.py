"""Text NER: a tagger trained on gold text, chosen by entity F1 on the tune split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from seqeval.metrics import f1_score
from torch import Tensor
from torch.nn import functional

from slue_ner.data.loading.text_batch import IGNORED, Sentence, TextBatch
from slue_ner.models.text_tagger import TextTagger
from slue_ner.tasks.ranks import gather
from slue_ner.tasks.resumable import ResumableTask
from slue_ner.tasks.tagging import read_tags
from slue_ner.text.bio import to_bio


class TextNERTask(ResumableTask):
    """Trains a ``TextTagger``; the best weights have the highest seqeval F1 on tune.

    Args:
        model: the tagger.
        tune: sentences of the validation loader, their ids being their numbers.
        common: as ``ResumableTask``.
    """

    model: TextTagger
    maximize = True

    def __init__(self, model: TextTagger, *, tune: Sequence[Sentence], **common: Any) -> None:
        super().__init__(model, what="task=text_ner", **common)
        self.tune = tune
        self._has_pretrained = any(model.is_pretrained(name) for name in self._promised)
        self._tags = self._no_tags()
        self._tune_loss = [0.0, 0.0]  # summed loss, words

    def is_encoder(self, name: str) -> bool:
        """The small tagger is all encoder, and the layer on top of a pre-trained model the head."""
        return self.model.is_pretrained(name) or not self._has_pretrained

    def losses(self, batch: TextBatch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the words, and the sum over each window's."""
        losses = self._word_losses(self.model(batch.inputs), batch)  # (B, W)
        return losses.sum() / (batch.tags != IGNORED).sum().clamp(min=1), losses.sum(dim=1)

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Tag one batch of the tune split."""
        logits = self.model(batch.inputs)
        losses = self._word_losses(logits, batch)
        self.check_finite(batch.ids, losses.sum(dim=1).isfinite())
        self._tune_loss[0] += float(losses.sum())
        self._tune_loss[1] += float((batch.tags != IGNORED).sum())
        read_tags(batch, logits.argmax(dim=-1), tags=self._tags, names=self.model.tags)

    def on_validation_epoch_end(self) -> None:
        """Score the whole tune split and log ``val_monitor``."""
        parts = gather(self._tags)
        found = [
            [max(tags) for tags in zip(*of_ranks, strict=True)]  # unread words are empty
            for of_ranks in zip(*parts, strict=True)
        ]
        losses = gather(self._tune_loss)
        loss, num_words = (sum(part[i] for part in losses) for i in range(2))
        self._tags, self._tune_loss = self._no_tags(), [0.0, 0.0]
        gold = [to_bio(len(sentence.words), sentence.entities) for sentence in self.tune]
        f1 = float(f1_score(gold, found, zero_division=0))
        metrics = {
            "step": float(self.global_step),
            "val_loss": loss / max(1.0, num_words),
            "val_f1": f1,
            "val_monitor": f1,
        }
        self.log_dict(metrics, sync_dist=True)  # equal on every rank; saying so is required

    def _no_tags(self) -> list[list[str]]:
        return [[""] * len(sentence.words) for sentence in self.tune]

    def _word_losses(self, logits: Tensor, batch: TextBatch) -> Tensor:
        """Cross-entropy of every word, ``(B, W)`` float32; 0 where no tag is asked for."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.cross_entropy(
                logits.float().transpose(1, 2),  # (B, K, W)
                batch.tags,
                ignore_index=IGNORED,
                reduction="none",
            )
