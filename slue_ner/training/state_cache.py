"""Frozen features are computed once: an encoder's states are kept between epochs, and runs."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from slue_ner.core.files import sha256
from slue_ner.core.types import Utterance
from slue_ner.data.loading.passes import run_over
from slue_ner.data.loading.states import (
    INDEX_FILE,
    NO_SPACE,
    USERS_LOCK,
    StateCacheOptions,
    States,
    free_bytes,
    locked,
    make_room,
    remove_unused,
    write_states,
)
from slue_ner.models.encoder.frames import Frames
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.mixing import Layers

_BATCH_SECONDS = 80.0
_SPARE = 1_000_000  # bytes for the index, and for others
_MEMORY = "slue-ner-"


@contextmanager
def frozen_states(
    encoder: SpeechEncoder,
    utterances: Sequence[Utterance],
    *,
    run_dir: Path,
    layers: Layers,
    options: StateCacheOptions,
    device: torch.device,
    precision: str,
    console: Console,
) -> Iterator[States | None]:
    """States of all ``utterances``, computed now unless the cache has them.

    Processes that need the same states at once wait for the first of them to write them. States
    in memory belong to one run and go when it ends, or when another run finds that it was killed;
    where memory is too small they are kept in the run folder meanwhile. Those on disk stay for
    others.

    Args:
        encoder: frozen; it is moved to ``device``.
        utterances: with different ids.
        run_dir: of the run that asks.
        layers: as ``SpeechEncoder.forward``.
        options: where to keep them.
        device: where to compute them.
        precision: Lightning's, so that the states are those that training would see.
        console: where progress goes.

    Yields:
        ``None`` when the cache is off or too small.

    Raises:
        OSError: naming the folder when it cannot be written.
    """
    if options.cache == "none":
        yield None
        return
    if len({utterance.id for utterance in utterances}) < len(utterances):
        console.print(
            "train and tune share ids, so the encoder's states are computed in every update",
            highlight=False,
        )
        yield None
        return
    num_layers = 1 if isinstance(layers, str) else len(layers)
    num_frames = sum(encoder.grid.num_frames(u.num_samples or 0) for u in utterances)
    width = num_layers * encoder.hidden_size * (4 if options.dtype == "float32" else 2)
    limit = int(options.max_gigabytes * 1e9)
    if num_frames * width > limit:
        console.print(
            f"the encoder's states take {num_frames * width / 1e9:.1f} GB, more than "
            f"state_cache.max_gigabytes={options.max_gigabytes:g}; they are computed in every "
            "update",
            highlight=False,
        )
        yield None
        return
    settings = {
        "layers": layers if isinstance(layers, str) else list(layers),
        "dtype": options.dtype,
        "device": device.type,
        "precision": precision,
        "torch": torch.__version__,
    }
    key = _key(encoder, utterances, json.dumps(settings, sort_keys=True))

    def write(folder: Path) -> None:
        progress = _Report(console, len(utterances))
        write_states(
            folder,
            _compute(encoder, utterances, layers, device, precision, progress),
            dtype=options.dtype,
            num_layers=num_layers,
            size=encoder.hidden_size,
        )

    cache = _Cache(key, num_frames * width, limit, write, console)
    with ExitStack() as stack:
        if options.cache == "disk":
            yield cache.use(
                Path(options.folder), stack, instead="they are computed in every update"
            )
            return
        memory, disk = _memory(run_dir), run_dir / "states"
        for left in (*memory.parent.glob(f"{_MEMORY}{os.getuid()}-*"), disk):
            remove_unused(left)
        states = cache.use_own(memory, stack, instead=f"they are kept in {disk} until the run ends")
        if states is None:
            states = cache.use_own(disk, stack, instead="they are computed in every update")
        yield states


@dataclass(frozen=True)
class _Cache:
    """The states of one key, wherever there is room for them."""

    key: str
    num_bytes: int
    limit: int
    write: Callable[[Path], None]
    console: Console

    def use_own(self, root: Path, stack: ExitStack, *, instead: str) -> States | None:
        """As ``use``, in a folder of this run's own, which goes with its last process."""
        with ExitStack() as using:
            using.callback(remove_unused, root)
            using.enter_context(locked(root / USERS_LOCK, shared=True))
            states = self.use(root, using, instead=instead)
            if states is not None:
                stack.push(using.pop_all())
        return states

    def use(self, root: Path, stack: ExitStack, *, instead: str) -> States | None:
        """The states in ``root``, written unless they are there; in use until ``stack`` is closed.

        Returns:
            ``None``, and says what happens ``instead``, when there is no room for them.
        """
        folder, said = root / self.key, "the encoder's states are in the cache"
        lock = folder.with_suffix(".lock")
        while True:
            with ExitStack() as using:
                using.enter_context(locked(lock, shared=True))
                if (folder / INDEX_FILE).is_file():
                    if said:
                        self.console.print(said, highlight=False)
                    states = States.open(folder)
                    stack.push(using.pop_all())
                    return states
            with locked(lock):  # another process may be first, and then it is in the cache
                if (folder / INDEX_FILE).is_file():
                    continue
                reason = self._try_to_write(folder)
            if reason is not None:
                needed = f"the encoder's states take {_size(self.num_bytes)}"
                self.console.print(f"{needed}, {reason}; {instead}", highlight=False)
                return None
            said = ""

    def _try_to_write(self, folder: Path) -> str | None:
        """Why there is no room for the states; ``None`` when they are written."""
        root = folder.parent
        with locked(root / "room.lock"):
            if not make_room(root, self.num_bytes, limit=self.limit):
                return f"and what other runs use now in {root} leaves no room for them"
        free = free_bytes(root)
        if free < self.num_bytes + _SPARE:
            return f"more than the {_size(free)} that are free in {root}"
        try:
            self.write(folder)
        except OSError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in NO_SPACE:
                raise
            return f"and {root} was full before they were written"
        return None


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def _memory(run_dir: Path) -> Path:
    """A folder of this run's own in a file system that is memory, where there is one."""
    shared = Path("/dev/shm")
    parent = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    name = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:16]
    return parent / f"{_MEMORY}{os.getuid()}-{name}"


class _Report:
    """Says now and then how many utterances are done."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done, self._said = console, total, 0, 0

    def __call__(self, count: int) -> None:
        self._done += count
        if self._done == self._total or self._done - self._said >= self._total / 5:
            self._said = self._done
            self._console.print(
                f"encoder states: {self._done} of {self._total} utterances", highlight=False
            )


def _compute(
    encoder: SpeechEncoder,
    utterances: Sequence[Utterance],
    layers: Layers,
    device: torch.device,
    precision: str,
    progress: Callable[[int], None],
) -> Iterator[tuple[str, Tensor | str]]:
    encoder.to(device).eval()
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)

    def forward(waveforms: Tensor, num_samples: Tensor) -> Frames:
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            frames: Frames = encoder(waveforms, num_samples, layers=layers)
        return frames

    for batch, frames in run_over(
        utterances,
        forward,
        batch_seconds=_BATCH_SECONDS,
        min_samples=encoder.grid.window,
        filled_to=encoder.filled_to,
        device=device,
    ):
        yield from batch.unreadable
        if frames is not None:
            states = frames.values[None] if frames.layers is None else frames.layers
            for i, (id, length) in enumerate(
                zip(batch.ids, frames.num_frames.tolist(), strict=True)
            ):
                yield id, states[:, i, :length].cpu()
        progress(len(batch) + len(batch.unreadable))


def _key(encoder: SpeechEncoder, utterances: Sequence[Utterance], settings: str) -> str:
    """Changes with every weight, every byte of audio, and every setting."""
    digest = hashlib.sha256(settings.encode())
    digest.update(json.dumps(encoder.blueprint, sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for utterance in utterances:
        audio = utterance.audio
        digest.update(f"{utterance.id} {utterance.num_samples} ".encode())
        digest.update(sha256(audio).encode() if audio and audio.is_file() else b"no audio")
    return digest.hexdigest()[:32]
