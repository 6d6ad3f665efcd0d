"""What the runs that hear have in common: their config, their encoder, their batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from slue_ner.core.files import write_json
from slue_ner.core.listing import counted
from slue_ner.core.run_files import ENCODER_FILE, VOCABULARY_FILE
from slue_ner.core.time import said_length
from slue_ner.core.types import Utterance
from slue_ner.data.loading.augment import AugmentOptions
from slue_ner.data.loading.loaders import evaluation_loader, training_loader
from slue_ner.data.loading.states import StateCacheOptions, States
from slue_ner.models.adaptation.strategy import AdaptationReport, Strategy
from slue_ner.models.device import pick_device
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.hub_checkpoints import MAY_BE_NEW
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.heads import BlockOptions
from slue_ner.models.mixing import MixingOptions
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.module import SpeechModule
from slue_ner.training.optim import OptimOptions
from slue_ner.training.progress import Throughput
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.state_cache import frozen_states
from slue_ner.training.task import Built, Loaders, RunConfig


@dataclass(kw_only=True)
class HeadOptions(BlockOptions):
    """The CTC head: its blocks and its dropout, which a frame head shares.

    Attributes:
        dropout: before the last linear layer, and within the blocks.
    """

    kind: str = "linear"  # defaults are for runs of before heads had blocks
    size: int = 256
    num_layers: int = 2
    kernel: int = 5
    dropout: float


@dataclass(kw_only=True)
class SpeechConfig(RunConfig):
    """One run on audio.

    Attributes:
        adaptation: one of the strategies, already made from its options.
    """

    encoder: EncoderOptions
    adaptation: Strategy
    mixing: MixingOptions
    head: HeadOptions
    augment: AugmentOptions
    state_cache: StateCacheOptions

    @property
    def learner(self) -> str:
        """As ``RunConfig.learner``: the encoder and how it is adapted."""
        options = self.encoder
        origin = options.source or f"{options.family} with random weights"
        return f"encoder {origin}, adaptation {self.adaptation.name}"


def adapted_encoder(config: SpeechConfig) -> tuple[SpeechEncoder, AdaptationReport]:
    """The encoder of a config at the start of training."""
    encoder = build_encoder(config.encoder)
    return encoder, config.adaptation.apply(encoder, mixing=config.mixing)


def restored_encoder(config: SpeechConfig, folder: RunFolder, *, weights: str) -> SpeechEncoder:
    """The structure that a run's encoder has, with ``best`` or ``last`` weights to be loaded.

    Where these are only what was trained, the others are read from ``encoder.source``.

    Raises:
        ValueError: when that cannot be had.
    """
    encoder = folder.encoder()
    if not folder.holds_all(weights):
        try:
            encoder.load_state_dict(build_encoder(config.encoder).state_dict())
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{folder.path} holds only what was trained, and the encoder beneath, "
                f"encoder.source={config.encoder.source}, cannot be had from here: "
                f"{str(error).splitlines()[0]}"
            ) from error
    config.adaptation.apply(encoder, mixing=config.mixing)
    return encoder


MOST_KEPT = 1.2
"""How much of a model a run writes, at most, for every value that it trained."""


def as_they_came(
    config: SpeechConfig, model: nn.Module, report: AdaptationReport
) -> frozenset[str]:
    """Weights of the model that are as ``encoder.source`` has them, where they are many.

    Few are written with the rest, so that a run which trained nearly everything needs no other.
    """
    if config.encoder.source is None or config.trainer.keep == "all":
        return frozenset()
    changed = {*report.trainable, *report.reinitialized, *report.injected}
    parameters = dict(model.named_parameters())
    same = {
        name
        for name in parameters
        if name.startswith("encoder.")
        and name.removeprefix("encoder.") not in changed
        and name.rpartition(".")[2] not in MAY_BE_NEW  # at random where a checkpoint lacks them
    }
    num_all = sum(parameter.numel() for parameter in parameters.values())
    num_same = sum(parameters[name].numel() for name in same)
    return frozenset(same) if num_all > MOST_KEPT * (num_all - num_same) else frozenset()


def limits(config: SpeechConfig) -> dict[str, Any]:
    """The longest audio to train on, and how fast augmentation may play it."""
    return {"max_seconds": config.data.max_seconds, "speed": 1.0 + config.augment.speed}


def check_heard_at_once(
    train: Sequence[Utterance], encoder: SpeechEncoder, config: SpeechConfig
) -> None:
    """Refuse now what an encoder of few positions would refuse in the middle of training.

    A frozen encoder hears audio of any length, in windows.

    Raises:
        ValueError: with the number of utterances that are too long at their slowest, the first of
            them and the ``data.max_seconds`` that leaves them out.
    """
    if encoder.max_frames is None or encoder.frozen:
        return
    slowest = 1.0 - config.augment.speed
    too_long = [
        utterance.id
        for utterance in train
        if encoder.grid.num_frames(round((utterance.num_samples or 0) / slowest))
        > encoder.max_frames
    ]
    if too_long:
        longest = encoder.max_frames * encoder.grid.frame_seconds
        slowed = f" and augment.speed={config.augment.speed:g} slows speech down"
        raise ValueError(
            f"{encoder.family.name} is trained on {longest:g} s at once"
            f"{slowed if config.augment.speed else ''}, but {len(too_long)} of {len(train)} "
            f"training utterances are longer, first {too_long[0]}; leave them out with "
            f"data.max_seconds={math.floor(100 * longest * slowest + 1e-6) / 100:g}"
        )


def built_speech(
    config: SpeechConfig,
    module: SpeechModule,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    *,
    left_out: Mapping[str, Sequence[str]],
    vocabulary: Vocabulary | None,
) -> Built:
    """A module of speech with all that ``fit`` needs to train it.

    Args:
        config: names the learning rates, and how the data becomes batches.
        module: ready for Lightning.
        train: the utterances it can use.
        tune: all of tune; ``module.tune`` are those that it validates on.
        left_out: ids of the others, by reason.
        vocabulary: of its CTC head; ``None`` without one.
    """
    report, encoder = module.report, module.encoder
    module.as_they_came = as_they_came(config, module.model, report)
    num_parameters = sum(parameter.numel() for parameter in module.model.parameters())
    num_symbols = 0 if vocabulary is None else len(vocabulary)
    notes = [] if encoder.guess is None else [encoder.guess]
    notes += [f"left out of training, {why}: {counted(ids)}" for why, ids in left_out.items()]
    notes.append(
        f"adaptation {report.strategy}: {report.num_trainable:,} of {report.num_total:,} encoder "
        f"values trainable ({report.trainable_share:.1%}), all "
        f"{num_parameters - report.num_total:,} on top of it; learning rates "
        f"{_rates(config.optim, report)}; {len(train)} utterances, "
        f"{said_length(sum(u.duration for u in train))}; {num_symbols} symbols"
    )
    files: dict[str, Callable[[Path], None]] = {}
    if vocabulary is not None:
        files[VOCABULARY_FILE] = vocabulary.save
    files[ENCODER_FILE] = partial(write_json, value=encoder.blueprint)
    return Built(
        module=module,
        batches=SpeechBatches(config, module, train, tune),
        report=report,
        files=files,
        notes=[*notes, *_notes(config, module, train)],
        figures={
            "num_train_utterances": len(train),
            "left_out": {reason: len(ids) for reason, ids in left_out.items()},
            "model_parameters": num_parameters,
        },
    )


@dataclass
class SpeechBatches:
    """Batches of audio, or of the states of an encoder that always hears the same.

    Attributes:
        config: how utterances become batches, and what is kept of a frozen encoder.
        module: what is trained.
        train: utterances to train on.
        tune: utterances that states are computed of; ``module.tune`` are validated on.
    """

    config: SpeechConfig
    module: SpeechModule
    train: Sequence[Utterance]
    tune: Sequence[Utterance]
    throughput: Throughput = field(default_factory=Throughput)

    @contextmanager
    def opened(
        self, run_dir: Path, *, rank: int, num_ranks: int, console: Console
    ) -> Iterator[Callable[[int], Loaders]]:
        """As ``Batches.opened``; states are kept for as long as the block lasts."""
        config, module, encoder = self.config, self.module, self.module.encoder
        always_the_same = encoder.frozen and not config.augment.changes
        cached: AbstractContextManager[States | None] = nullcontext()
        if module.reads_states and always_the_same:
            cached = frozen_states(
                encoder,
                [*self.train, *self.tune],
                run_dir=run_dir,
                layers=module.layers_needed,
                options=config.state_cache,
                device=pick_device("cpu" if config.trainer.accelerator == "cpu" else "auto"),
                precision=config.trainer.precision,
                console=console,
            )
        with cached as states:
            loading: dict[str, Any] = {
                "target": module.target,
                "frame_labels": module.frame_labels,
                "states": states,
                "min_samples": encoder.grid.window,
                "filled_to": encoder.filled_to,
                "rank": rank,
                "num_ranks": num_ranks,
            }

            def loaders(start: int) -> Loaders:
                training = training_loader(
                    self.train,
                    options=config.data,
                    seed=config.seed,
                    augment=config.augment,
                    start=start,
                    **loading,
                )
                seconds = config.data.batch_seconds
                return training, evaluation_loader(module.tune, batch_seconds=seconds, **loading)

            yield loaders


def _notes(config: SpeechConfig, module: SpeechModule, train: Sequence[Utterance]) -> list[str]:
    """What the config asks for and this training will not see."""
    notes = []
    frozen_until, num_updates = module.report.encoder_frozen_until, config.trainer.max_updates
    if frozen_until >= num_updates:
        notes.append(
            f"note: adaptation.freeze_updates={frozen_until} leaves none of trainer.max_updates="
            f"{num_updates} to the encoder, which stays as it is"
        )
    augment, grid = module.encoder.spec_augment, module.encoder.grid
    if augment.time_prob and not module.encoder.frozen:
        frames = [grid.num_frames(utterance.num_samples or 0) for utterance in train]
        short = [u.id for u, n in zip(train, frames, strict=True) if n < augment.time_length]
        if short:
            notes.append(
                f"note: never masked, shorter than mask_time_length={augment.time_length} frames: "
                f"{counted(short)}"
            )
    return notes


def _rates(optim: OptimOptions, report: AdaptationReport) -> str:
    on_top = f"{optim.head_rate:g} on top"
    return f"{optim.lr:g} in the encoder, {on_top}" if report.num_trainable else on_top
