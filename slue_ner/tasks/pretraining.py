"""Pre-training of an encoder: what it is to write and to guess, and how it learns to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from slue_ner.core.run_files import ENCODER_FOLDER
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.decoding.ctc import greedy, min_frames
from slue_ner.models.encoder.frames import valid_positions
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.pretrain_model import Clusters, Guesses, PretrainModel
from slue_ner.tasks.clustering import ClusterOptions, fit_clusters, load_clusters
from slue_ner.tasks.ctc_task import ctc_losses
from slue_ner.text.marks import survives
from slue_ner.text.markup import DELIMITER, to_symbols
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary
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
class Pretraining(Task):
    """Pre-training: masked prediction of clusters, CTC on units, or both in one pass.

    Attributes:
        objective: ``masked`` (guess the clusters of hidden frames, as HuBERT does),
            ``supervised`` (CTC on units) or ``both`` (their sum; utterances without units take
            part in the first only). How much is hidden is the encoder's own
            ``mask_time_prob`` and ``mask_time_length``.
        units: what CTC writes: ``letters`` of the transcript or ``phones`` of the manifest.
        num_clusters: classes of masked prediction.
        teacher: encoder (folder or hub id) whose states are clustered; ``None`` for MFCCs.
        teacher_layer: which of its states; ``None`` for the one with the highest phone purity.
        fit_frames: frames of training audio that the clusters are fitted on.
    """

    is_scored: ClassVar[bool] = False
    config_type: ClassVar[type[SpeechConfig]] = SpeechConfig
    instead: ClassVar[str] = (
        "pre-trained an encoder and finds no entities; train with encoder=checkpoint "
        f"encoder.source={{run}}/{ENCODER_FOLDER} first"
    )

    objective: str
    units: str
    num_clusters: int
    teacher: str | None
    teacher_layer: int | None
    fit_frames: int

    def __post_init__(self) -> None:
        if self.objective not in ("masked", "supervised", "both"):
            raise ValueError(
                f"task.objective={self.objective!r} should be masked, supervised or both"
            )
        if self.units not in ("letters", "phones"):
            raise ValueError(f"task.units={self.units!r} should be letters or phones")
        if self.num_clusters < 2 or self.fit_frames < self.num_clusters:
            raise ValueError(
                f"task.num_clusters={self.num_clusters} needs at least 2 clusters and as many "
                f"frames to fit them on, task.fit_frames={self.fit_frames}"
            )
        if self.teacher is None and self.teacher_layer is not None:
            raise ValueError("task.teacher_layer needs a task.teacher; MFCCs have no layers")

    @property
    def clustering(self) -> ClusterOptions:
        """What the clusters are made of."""
        return ClusterOptions(self.teacher, self.teacher_layer, self.num_clusters, self.fit_frames)

    @property
    def guesses_clusters(self) -> bool:
        """Whether frames are hidden and their clusters guessed."""
        return self.objective != "supervised"

    @property
    def writes_units(self) -> bool:
        """Whether there is a CTC head."""
        return self.objective != "masked"

    def build(self, config: SpeechConfig, data: TrainingData) -> Built:
        """As ``Task.build``."""
        encoder, report = adapted_encoder(config)
        if self.guesses_clusters and not encoder.spec_augment.time_prob:
            raise ValueError(
                f"task.objective={self.objective} hides frames, so encoder.mask_time_prob must be "
                "above 0, for example 0.5"
            )
        vocabulary = None
        if self.writes_units:
            vocabulary = data.vocabulary or unit_vocabulary(data.train, self.units)
        kept, left_out = select_for_pretraining(data.train, self, encoder.grid, **limits(config))
        check_heard_at_once(kept, encoder, config)
        module = PretrainModule(
            _model(self, encoder, vocabulary),
            options=self,
            vocabulary=vocabulary,
            train=kept,
            seed=config.seed,
            report=report,
            optim=config.optim,
            max_updates=config.trainer.max_updates,
            tune=data.tune,
            num_train=len(kept),
        )
        return built_speech(
            config, module, kept, data.tune, left_out=left_out, vocabulary=vocabulary
        )

    def finish(
        self, config: SpeechConfig, folder: RunFolder, *, device: torch.device, console: Console
    ) -> None:
        """Leave the encoder for others to load."""
        save_encoder(self.restore_encoder(config, folder), folder.path / ENCODER_FOLDER)

    def restore_encoder(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> SpeechEncoder:
        """As ``Task.restore_encoder``."""
        vocabulary = folder.vocabulary() if self.writes_units else None
        model = _model(self, restored_encoder(config, folder, weights=weights), vocabulary)
        folder.load_into(model, weights=weights, vocabulary=vocabulary)
        return model.eval().encoder


class PretrainModule(SpeechModule):
    """Trains a ``PretrainModel``; the best weights are those with the least loss on tune.

    The clusters of a frame come from the audio as it was before filter, reverberation and noise,
    so masked prediction also learns to hear through them (WavLM, arXiv:2110.13900).

    Args:
        model: encoder and heads.
        options: objective, units and clusters.
        vocabulary: of the units; ``None`` without supervision.
        train: what the clusters are fitted on.
        seed: of the clusters.
        common: as ``SpeechModule``.
    """

    model: PretrainModel
    maximize = False

    def __init__(
        self,
        model: PretrainModel,
        *,
        options: Pretraining,
        vocabulary: Vocabulary | None,
        train: list[Utterance],
        seed: int,
        **common: Any,
    ) -> None:
        super().__init__(model, **common)
        self.options = options
        self.vocabulary = vocabulary
        self.train_utterances = train
        self.seed = seed
        self.clusters: Clusters | None = None
        self.strict_loading = False  # the clusters are files of their own
        self._tune_sums = torch.zeros(len(_SUMS), dtype=torch.float64)

    def prepare_data(self) -> None:
        """Fit the clusters, in one process only."""
        if self.options.guesses_clusters:
            fit_clusters(
                self.folder,
                self.options.clustering,
                train=self.train_utterances,
                tune=self.tune,
                grid=self.model.grid,
                seed=self.seed,
                console=self.console,
            )

    def setup(self, stage: str) -> None:
        """Load the clusters, in every process."""
        if self.options.guesses_clusters:
            self.clusters = load_clusters(
                self.folder, self.options.clustering, grid=self.model.grid
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As ``SpeechModule.on_save_checkpoint``; the clusters stay out of it."""
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
        )  # (B, T)
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


def units(utterance: Utterance, kind: str) -> list[str]:
    """The units an utterance says; none when they are not known, or hold the end of a word.

    Args:
        utterance: with a transcript or phones.
        kind: ``letters`` or ``phones``.
    """
    if kind == "letters":
        return to_symbols(utterance.text.split()) if survives(utterance, None) else []
    return [phone.text for phone in utterance.phones or ()]


def unit_vocabulary(utterances: Sequence[Utterance], kind: str) -> Vocabulary:
    """A vocabulary of all units that occur.

    Raises:
        ValueError: when none does.
    """
    found = sorted({unit for utterance in utterances for unit in units(utterance, kind)})
    if not found:
        raise ValueError(
            f"no training utterance has {kind} to learn from; prepare data that has them, or use "
            "task.objective=masked"
        )
    special = (BLANK, UNKNOWN, DELIMITER)
    return Vocabulary((*special, *(unit for unit in found if unit not in special)), None)


def select_for_pretraining(
    utterances: Sequence[Utterance],
    options: Pretraining,
    grid: FrameGrid,
    *,
    max_seconds: Seconds | None,
    speed: float,
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances that can be trained on, and the ids of the others by reason.

    Args:
        utterances: of the training splits.
        options: of the task.
        grid: of the encoder.
        max_seconds: longest audio to train on; ``None`` for any.
        speed: fastest that augmentation may play it.
    """
    kept: list[Utterance] = []
    left_out: dict[str, list[str]] = {}
    for utterance in utterances:
        num_frames = grid.num_frames(int((utterance.num_samples or 0) / speed))
        said = units(utterance, options.units) if options.writes_units else []
        if max_seconds is not None and utterance.duration > max_seconds:
            left_out.setdefault(f"longer than {max_seconds:g} s", []).append(utterance.id)
        elif not num_frames:
            left_out.setdefault("shorter than a frame", []).append(utterance.id)
        elif not said and not options.guesses_clusters:
            left_out.setdefault(f"no {options.units}", []).append(utterance.id)
        elif said and _min_frames(said) > num_frames:
            left_out.setdefault("more units than frames", []).append(utterance.id)
        else:
            kept.append(utterance)
    return kept, left_out


def _min_frames(said: Sequence[str]) -> int:
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(said))}
    return min_frames([numbers[unit] for unit in said])


def _model(
    options: Pretraining, encoder: SpeechEncoder, vocabulary: Vocabulary | None
) -> PretrainModel:
    """The encoder with the heads that its objective needs."""
    return PretrainModel(
        encoder,
        num_clusters=options.num_clusters if options.guesses_clusters else None,
        num_units=None if vocabulary is None else len(vocabulary),
    )
