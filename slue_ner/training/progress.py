"""What training prints: a bar on a terminal, plain lines elsewhere, always audio-s/s or words/s."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.flop_counter import FlopCounterMode

from slue_ner.data.loading.batch import Batch
from slue_ner.data.loading.text_batch import IGNORED

PEAK_FLOPS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "V100": 125e12,
}
"""Dense bf16 (V100: fp16) peak by device name, FLOP/s, from the vendor's data sheets."""


class Throughput(Callback):
    """Counts audio seconds and time spent in updates, validation left out.

    Attributes:
        audio_seconds: real (unpadded) audio trained on by this process.
        padded_seconds: the same with padding.
        train_seconds: wall-clock time between the start and the end of training batches.
        earlier_seconds: wall-clock time of earlier launches of the run, up to the state that
            this one started from.
    """

    def __init__(self, sample_rate: int = 16_000) -> None:
        self.sample_rate = sample_rate
        self.audio_seconds = 0.0
        self.padded_seconds = 0.0
        self.train_seconds = 0.0
        self.earlier_seconds = 0.0
        self._started = time.perf_counter()
        self.flops_per_padded_second: float | None = None
        self._mark: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Counts go on over a restart."""
        return {
            "audio_seconds": self.audio_seconds,
            "padded_seconds": self.padded_seconds,
            "train_seconds": self.train_seconds,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.audio_seconds = state_dict["audio_seconds"]
        self.padded_seconds = state_dict["padded_seconds"]
        self.train_seconds = state_dict["train_seconds"]
        self.earlier_seconds = state_dict.get("seconds", 0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count the operations of the first batch, on a GPU only."""
        if (
            self.flops_per_padded_second is None
            and batch.waveforms.numel()
            and batch.waveforms.is_cuda
        ):
            flops = count_flops(pl_module, batch)
            self.flops_per_padded_second = flops * self.sample_rate / batch.waveforms.numel()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._mark = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start it again."""
        self._mark = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add one batch."""
        now = time.perf_counter()
        if self._mark is not None:
            self.train_seconds += now - self._mark
            self.add(batch)
        self._mark = now

    def add(self, batch: Any) -> None:
        """Count the audio of one batch."""
        self.audio_seconds += int(batch.num_samples.sum()) / self.sample_rate
        longest = int(batch.num_samples.max()) if len(batch) else 0
        self.padded_seconds += len(batch) * longest / self.sample_rate

    @property
    def seconds(self) -> float:
        """Wall-clock time since this was made, and of earlier launches; validation included."""
        return self.earlier_seconds + time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Audio seconds per second of training."""
        return self.audio_seconds / self.train_seconds if self.train_seconds else 0.0

    @property
    def speed(self) -> str:
        """The same for people."""
        return f"{self.rate:.0f} audio-s/s"

    def summary(self) -> dict[str, float]:
        """Figures for ``metrics.json``."""
        figures = {
            "seconds": self.seconds,
            "audio_seconds": self.audio_seconds,
            "train_seconds": self.train_seconds,
            "audio_seconds_per_second": self.rate,
            "padding_share": 1 - self.audio_seconds / self.padded_seconds
            if self.padded_seconds
            else 0.0,
        }
        share = self.peak_share()
        return figures if share is None else {**figures, "peak_flops_share": share}

    def peak_share(self) -> float | None:
        """Share of the GPU's peak FLOP/s; ``None`` on a CPU or an unlisted GPU."""
        if self.flops_per_padded_second is None or not self.train_seconds:
            return None
        name = torch.cuda.get_device_name()
        peak = next((flops for key, flops in PEAK_FLOPS.items() if key in name), None)
        if peak is None:
            return None
        return self.flops_per_padded_second * self.padded_seconds / self.train_seconds / peak


def count_flops(pl_module: pl.LightningModule, batch: Batch) -> float:
    """Floating-point operations of one training step on ``batch``.

    A backward pass costs twice the forward pass, so three forwards are counted; what is frozen
    costs less than that.
    """
    devices = [batch.waveforms.device] if batch.waveforms.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad(), FlopCounterMode(display=False) as counter:
        pl_module.model(batch.waveforms, batch.num_samples)  # type: ignore[operator]
    return 3.0 * float(counter.get_total_flops())


_RATES = {
    "val_f1": "F1",
    "val_label_f1": "label F1",
    "val_frame_f1": "frame F1",
    "val_wer": "WER",
}
"""Of tune, in percent."""


_SILENT_SECONDS = 30.0


class TrainingProgress(Callback):
    """Progress on the terminal; lines, every ``log_every`` updates or half minute, elsewhere."""

    def __init__(self, throughput: Throughput, *, log_every: int, console: Console) -> None:
        self.throughput = throughput
        self.log_every = log_every
        self.console = console
        self._bar: Progress | None = None
        self._shown = self._first = 0
        self._started = self._said = time.perf_counter()
        self._unreadable: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self._shown = self._first = trainer.global_step
        self._started = self._said = time.perf_counter()
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=self.console,
        )
        self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step, status="")
        self._bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Show the loss and the speed, and whatever could not be read."""
        self._name_unreadable(batch, "is left out of training")
        step = trainer.global_step
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, status=self._status(trainer))
        elif trainer.is_global_zero and step != self._shown and self._line_is_due(step):
            self._shown, self._said = step, time.perf_counter()  # several batches make an update
            left = self._left(step, trainer.max_steps)
            self.console.print(
                f"update {step}/{trainer.max_steps} {self._status(trainer)}{left}", highlight=False
            )

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Name whatever could not be read."""
        self._name_unreadable(batch, "counts as missed in tune")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line for every validation."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            metrics = trainer.callback_metrics
            shown = [f"loss {float(metrics['val_loss']):.3f}"]
            shown += [
                f"{title} {100 * float(metrics[name]):.1f}"
                for name, title in _RATES.items()
                if name in metrics
            ]
            self.console.print(
                f"update {trainer.global_step}: tune {', '.join(shown)}", highlight=False
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar so that the error stands alone."""
        self._close()

    def _line_is_due(self, step: int) -> bool:
        return step % self.log_every == 0 or time.perf_counter() - self._said > _SILENT_SECONDS

    def _left(self, step: int, num_updates: int) -> str:
        """How long it may take yet, validation included; nothing in the first seconds."""
        done = step - self._first
        seconds = time.perf_counter() - self._started
        if done < 1 or seconds < 10 or step >= num_updates:
            return ""
        return f", {math.ceil(seconds / done * (num_updates - step) / 60)} min left"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _name_unreadable(self, batch: Any, fate: str) -> None:
        """One line for every utterance whose audio cannot be read, in whatever rank meets it."""
        for id, reason in getattr(batch, "unreadable", ()):
            if id not in self._unreadable:
                self._unreadable.add(id)
                quiet, self.console.quiet = self.console.quiet, False  # as that of later ranks is
                self.console.print(
                    f"utterance {id} {fate}: {reason}", highlight=False, markup=False
                )
                self.console.quiet = quiet

    def _status(self, trainer: pl.Trainer) -> str:
        loss = trainer.callback_metrics.get("train_loss")
        parts = [f"loss {float(loss):.3f}"] if loss is not None else []
        parts.append(self.throughput.speed)
        if torch.cuda.is_available():
            parts.append(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
        share = self.throughput.peak_share()
        if share is not None:
            parts.append(f"{100 * share:.0f} % of peak FLOP/s")
        return " ".join(parts)


class WordThroughput(Throughput):
    """Counts words instead of audio.

    Attributes:
        num_words: trained on by this process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_words = 0

    def state_dict(self) -> dict[str, Any]:
        """Counts go on over a restart."""
        return {**super().state_dict(), "num_words": self.num_words}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state_dict)
        self.num_words = state_dict["num_words"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """No operations are counted."""

    def add(self, batch: Any) -> None:
        """Count the words of one batch."""
        self.num_words += int((batch.tags != IGNORED).sum())

    @property
    def rate(self) -> float:
        """Words per second of training."""
        return self.num_words / self.train_seconds if self.train_seconds else 0.0

    @property
    def speed(self) -> str:
        """The same for people."""
        return f"{self.rate:.0f} words/s"

    def summary(self) -> dict[str, float]:
        """Figures for ``metrics.json``."""
        return {
            "seconds": self.seconds,
            "words": self.num_words,
            "train_seconds": self.train_seconds,
            "words_per_second": self.rate,
        }
