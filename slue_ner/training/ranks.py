"""The processes of one run: how many, which one this is, and what they tell each other."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from slue_ner.core.processes import own_rank, torchrun_started

Value = TypeVar("Value")


def find_ranks(*, devices: int, num_nodes: int) -> tuple[int, int]:
    """This process's rank and the number of ranks, as torchrun or SLURM says.

    Raises:
        ValueError: unless one process a device was started.
    """
    if torchrun_started():
        started = int(os.environ["WORLD_SIZE"])
    elif "SLURM_PROCID" in os.environ:
        started = int(os.environ.get("SLURM_NTASKS", "1"))
    else:
        started = 1
    if started != devices * num_nodes:
        raise ValueError(
            f"trainer.devices={devices} on trainer.num_nodes={num_nodes} needs one process a "
            f"device but {started} were started: start with `torchrun --standalone "
            f"--nproc-per-node {devices} --no-python slue-ner train ...` or use launcher=slurm"
        )
    return own_rank(), started


def process_strategy(num_ranks: int) -> Any:
    """Lightning's strategy for so many ranks."""
    if num_ranks == 1:
        return "auto"
    # ranks may have unequal numbers of validation batches, and the buffers are constants
    return DDPStrategy(broadcast_buffers=False)


def wrap_again(strategy: Any) -> None:
    """Let several ranks average what has gradients now; every rank must call this.

    DDP waits for the gradients of all that asked for one when it was made. Searching each update
    for those that get none (``find_unused_parameters``) costs a pass over the graph, and torch
    warns of it once nothing is frozen any more.
    """
    if isinstance(strategy, DDPStrategy) and isinstance(strategy.model, DistributedDataParallel):
        strategy.model._remove_autograd_hooks()  # type: ignore[no-untyped-call]
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def process_plugins() -> list[Any]:
    """What Lightning must be told about the scheduler that started this process."""
    if SLURMEnvironment.detect() and not torchrun_started():
        # submitit requeues the job itself; both doing it starts it twice (Lightning #14893)
        return [SLURMEnvironment(auto_requeue=False)]
    return []


def leave_ranks() -> None:
    """End the connection between the ranks of a run; nothing where there is one rank.

    A process that ends while its threads still wait for others is aborted now and then ("terminate
    called without an active exception"), whatever it has saved.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def gather(value: Value) -> list[Value]:
    """``value`` of every rank, in their order; every rank must call this."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, value)
    return parts


def random_state() -> dict[str, Tensor]:
    """State of torch's generators in this process."""
    state = {"cpu": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def set_random_state(state: dict[str, Tensor]) -> None:
    """The inverse of ``random_state``."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
