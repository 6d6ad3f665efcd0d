"""Pre-training: masked prediction of clusters, CTC on units, or both in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.decoding.ctc import greedy
from slue_ner.models.clusters import Clusters
from slue_ner.models.frames import valid_positions
from slue_ner.models.pretrain_model import Guesses, PretrainModel
from slue_ner.tasks.base import Task
from slue_ner.tasks.clustering import fit_clusters, load_clusters
from slue_ner.tasks.emissions import ctc_losses
from slue_ner.tasks.ranks import gather
from slue_ner.tasks.units import PretrainOptions, units
from slue_ner.text.vocabulary import Vocabulary


class PretrainTask(Task):
    """Trains a ``PretrainModel``; the best weights are those with the least loss on tune.

    The clusters of a frame come from the audio as it was before filter, reverberation and noise,
    so masked prediction also learns to hear through them (WavLM, arXiv:2110.13900).

    Args:
        model: encoder and heads.
        options: objective, units and clusters.
        vocabulary: of the units; ``None`` without supervision.
        train: what the clusters are fitted on.
        run_dir: where the clusters are kept.
        seed: of the clusters.
        console: where their purity is reported.
        common: as ``Task``.
    """

    model: PretrainModel
    maximize = False

    def __init__(
        self,
        model: PretrainModel,
        *,
        options: PretrainOptions,
        vocabulary: Vocabulary | None,
        train: list[Utterance],
        run_dir: Path,
        seed: int,
        console: Console,
        **common: Any,
    ) -> None:
        super().__init__(model, **common)
        self.options = options
        self.vocabulary = vocabulary
        self.train_utterances = train
        self.run_dir = run_dir
        self.seed = seed
        self.console = console
        self.clusters: Clusters | None = None
        self.strict_loading = False  # the clusters are files of their own
        self._tune_sums = torch.zeros(len(_SUMS), dtype=torch.float64)

    def prepare_data(self) -> None:
        """Fit the clusters, in one process only."""
        if self.options.guesses_clusters:
            fit_clusters(
                self.run_dir,
                self.options,
                train=self.train_utterances,
                tune=self.tune,
                grid=self.model.grid,
                seed=self.seed,
                console=self.console,
            )

    def setup(self, stage: str) -> None:
        """Load the clusters, in every process."""
        if self.options.guesses_clusters:
            self.clusters = load_clusters(self.run_dir, self.options, grid=self.model.grid)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As ``Task.on_save_checkpoint``; the clusters stay out of it."""
        super().on_save_checkpoint(checkpoint)
        for name in [key for key in checkpoint["state_dict"] if key.startswith("clusters.")]:
            del checkpoint["state_dict"][name]

    def target(self, utterance: Utterance) -> list[int]:
        """The units of an utterance; none where they are not known or not asked for."""
        if self.vocabulary is None:
            return []
        return self.vocabulary.encode(units(utterance, self.options.units))

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum of the objectives' losses: mean a hidden frame, mean a unit."""
        masked = None
        if self.options.guesses_clusters:
            masked = self._draw(batch)
        guesses = self.model(batch.waveforms, batch.num_samples, masked)
        of_utterances = torch.zeros(len(batch), device=batch.waveforms.device)
        loss = of_utterances.sum()
        if masked is not None:
            of_frames = self._cluster_losses(guesses, batch)
            hidden = masked & valid_positions(guesses.num_frames, masked.shape[1])
            # a batch of utterances too short for a span hides nothing
            guessed = (of_frames * hidden).sum() / hidden.sum().clamp(min=1)
            of_utterances = of_utterances + (of_frames.detach() * hidden).sum(1)
            self.log("train_masked_loss", guessed.detach(), batch_size=len(batch))
            loss = loss + guessed
        if guesses.emissions is not None:
            written = self._unit_losses(guesses, batch)
            per_unit = written.sum() / batch.num_targets.sum().clamp(min=1)
            of_utterances = of_utterances + written.detach()
            self.log("train_ctc_loss", per_unit.detach(), batch_size=len(batch))
            loss = loss + per_unit
        return loss, of_utterances

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up losses, hits and edits over the tune split."""
        if not len(batch):
            return
        sums = dict.fromkeys(_SUMS, 0.0)
        if self.options.guesses_clusters:
            # the same frames are hidden every time, and training's chance goes on as if nothing was
            generator = torch.Generator(batch.num_samples.device).manual_seed(batch_idx)
            masked = self._draw(batch, generator)
            guesses = self.model(batch.waveforms, batch.num_samples, masked)
            assert guesses.clusters is not None and self.clusters is not None
            losses = self._cluster_losses(guesses, batch)
            right = guesses.clusters.argmax(-1) == self.clusters(batch.waveforms, batch.num_samples)
            valid = valid_positions(guesses.num_frames, masked.shape[1])
            sums["masked_loss"] = float((losses * (masked & valid)).sum())
            sums["masked_right"] = float((right & masked & valid).sum())
            sums["masked"] = float((masked & valid).sum())
            sums["unmasked_right"] = float((right & ~masked & valid).sum())
            sums["unmasked"] = float((~masked & valid).sum())
        if self.vocabulary is not None:
            guesses = self.model(batch.waveforms, batch.num_samples)
            losses = self._unit_losses(guesses, batch)
            fits = ~losses.isposinf()
            self.check_finite(batch.ids, ~losses.isnan())
            sums["ctc_loss"] = float(losses[fits].sum())
            sums["fitting_units"] = float(batch.num_targets[fits].sum())
            sums["edits"] = float(self._edits(guesses, batch))
            sums["units"] = float(batch.num_targets.sum())
        self._tune_sums += torch.tensor(list(sums.values()), dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log losses and rates of the whole tune split."""
        totals = torch.stack(gather(self._tune_sums)).sum(0).tolist()
        sums = dict(zip(_SUMS, totals, strict=True))
        self._tune_sums = torch.zeros_like(self._tune_sums)
        metrics = {"step": float(self.global_step), "val_loss": 0.0}
        for part, total, count in (
            ("masked_loss", "masked_loss", "masked"),
            ("ctc_loss", "ctc_loss", "fitting_units"),
        ):
            if sums[count]:
                metrics[f"val_{part}"] = sums[total] / sums[count]
                metrics["val_loss"] += metrics[f"val_{part}"]
        for rate, total, count in (
            ("masked_accuracy", "masked_right", "masked"),
            ("unmasked_accuracy", "unmasked_right", "unmasked"),
            ("unit_error_rate", "edits", "units"),
        ):
            if sums[count]:
                metrics[f"val_{rate}"] = sums[total] / sums[count]
        metrics["val_monitor"] = metrics["val_loss"]
        self.log_dict(metrics, sync_dist=True)

    def _draw(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Frames to hide, ``(B, T)``."""
        grid = self.model.grid
        num_frames = 1 + (batch.num_samples - grid.window) // grid.hop
        total = grid.num_frames(batch.waveforms.shape[1])
        return self.encoder.spec_augment.draw(num_frames, total, generator=generator)

    def _cluster_losses(self, guesses: Guesses, batch: Batch) -> Tensor:
        """Cross-entropy of every frame, ``(B, T)``; 0 beyond an utterance's end."""
        assert guesses.clusters is not None and self.clusters is not None
        clean = batch.waveforms if batch.clean is None else batch.clean
        clusters = self.clusters(clean, batch.num_samples)  # (B, T)
        losses = functional.cross_entropy(
            guesses.clusters.float().transpose(1, 2), clusters, reduction="none"
        )
        return losses * valid_positions(guesses.num_frames, losses.shape[1])

    def _unit_losses(self, guesses: Guesses, batch: Batch) -> Tensor:
        """CTC loss of every utterance, ``(B,)``; 0 where the units are not known."""
        assert guesses.emissions is not None
        if not batch.targets.shape[1]:
            # the head must have a gradient on every rank
            return 0.0 * guesses.emissions.log_probs.sum((1, 2))
        losses = ctc_losses(guesses.emissions, batch)
        return torch.where(batch.num_targets > 0, losses, torch.zeros_like(losses))

    def _edits(self, guesses: Guesses, batch: Batch) -> int:
        """Edits between the units written and those said."""
        assert guesses.emissions is not None and self.vocabulary is not None
        emissions = guesses.emissions
        tokens = greedy(emissions.log_probs, emissions.num_frames, self.vocabulary.symbols)
        edits = 0
        for spans, target, length in zip(
            tokens, batch.targets.tolist(), batch.num_targets.tolist(), strict=True
        ):
            said = self.vocabulary.decode(target[:length])
            edits += Levenshtein.distance([span.symbol for span in spans], said) if said else 0
        return edits


_SUMS = (
    *("masked_loss", "masked_right", "masked", "unmasked_right", "unmasked"),
    *("ctc_loss", "fitting_units", "edits", "units"),
)
