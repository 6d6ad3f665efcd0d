"""Lightning's trainer, told what ours does itself: batches, ranks, checkpoints, progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from slue_ner.tasks.checkpoint_files import AtomicCheckpointIO
from slue_ner.tasks.config import RunConfig
from slue_ner.tasks.ranks import process_plugins, process_strategy


def build_trainer(
    config: RunConfig,
    run_dir: Path,
    *,
    num_ranks: int,
    loggers: Sequence[Any],
    callbacks: Sequence[Callback],
) -> pl.Trainer:
    """The trainer of a run.

    Args:
        config: of the run.
        run_dir: the run folder.
        num_ranks: processes.
        loggers: Lightning's.
        callbacks: Lightning's.
    """
    options = config.trainer
    return pl.Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=process_strategy(num_ranks),
        precision=options.precision,  # type: ignore[arg-type]
        max_steps=options.max_updates,
        max_epochs=-1,
        accumulate_grad_batches=options.accumulate,
        val_check_interval=min(options.validate_every, options.max_updates) * options.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=config.optim.gradient_clip or None,
        log_every_n_steps=options.log_every,
        logger=list(loggers),
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO(), *process_plugins()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=run_dir,
    )
