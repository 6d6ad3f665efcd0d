"""What an adaptation strategy is, a config that acts on an encoder, and what it did to one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.mixing import Layers, MixingOptions


@dataclass(kw_only=True)
class Strategy:
    """A config that acts: ``apply`` edits the encoder once and reports what it did.

    Strategies do not choose the mixing; they are told it, because it decides which parameters
    are used at all.
    """

    name: ClassVar[str]

    def default_mixing(self) -> MixingOptions:
        """The mixing that the strategy is named for."""
        return MixingOptions()

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """Change ``encoder`` in place.

        Args:
            encoder: freshly built; a second strategy on top is not supported.
            mixing: what the head will read; ``None`` is ``default_mixing()``.

        Raises:
            ValueError: for an option that this encoder cannot satisfy, with the allowed range.
        """
        raise NotImplementedError

    def layers(self, encoder: SpeechEncoder, *, mixing: MixingOptions | None) -> Layers:
        """The states that the mixing asks this encoder for."""
        return (mixing or self.default_mixing()).layers_needed(encoder.num_layers)


@dataclass(kw_only=True)
class HeadWarmUp(Strategy):
    """A strategy whose new head may learn alone for a while.

    The gradient of a head that knows nothing yet spoils what an encoder knows, or teaches adapters
    nonsense that takes long to forget.

    Attributes:
        freeze_updates: optimiser updates during which only the head is trained.
    """

    freeze_updates: int = 0

    def __post_init__(self) -> None:
        if self.freeze_updates < 0:
            raise ValueError(
                f"adaptation={self.name} needs freeze_updates >= 0, got {self.freeze_updates}"
            )


def check_count(
    name: str, value: int, *, lowest: int, highest: int, what: str = "num_layers"
) -> None:
    """Raise ``ValueError`` with the allowed range unless ``value`` lies in it."""
    if not lowest <= value <= highest:
        raise ValueError(
            f"adaptation={name} needs {what} in [{lowest}, {highest}] for this encoder, got {value}"
        )


@dataclass(frozen=True, slots=True)
class AdaptationReport:
    """What is trained and what was changed; all names are the encoder's parameter names.

    Attributes:
        strategy: name in the registry.
        num_trainable: trainable values (not tensors) of the encoder.
        num_total: all values of the encoder as it is now.
        trainable: parameters that are trained, in the encoder's order.
        reinitialized: parameters whose loaded values were thrown away.
        injected: parameters that were added.
        dropped: parameters that were removed.
        unused: parameters that this mixing and masking never use, frozen for that reason.
        encoder_frozen_until: optimiser updates during which only the head is trained.
    """

    strategy: str
    num_trainable: int
    num_total: int
    trainable: tuple[str, ...]
    reinitialized: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    encoder_frozen_until: int = 0

    @property
    def trainable_share(self) -> float:
        """Trainable values over all values, in [0, 1]."""
        return self.num_trainable / self.num_total if self.num_total else 0.0

    def to_json(self) -> dict[str, Any]:
        """For metrics.json: every field, and the trainable share."""
        record = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        return {**record, "trainable_share": self.trainable_share}


def set_trainable(
    encoder: SpeechEncoder,
    *,
    strategy: str,
    trainable: Collection[str],
    layers: Layers,
    reinitialized: Collection[str] = (),
    injected: Collection[str] = (),
    dropped: Collection[str] = (),
    encoder_frozen_until: int = 0,
) -> AdaptationReport:
    """Make ``trainable`` require gradients, less what is never used or never trained; report it.

    Args:
        encoder: changed in place.
        strategy: name for the report.
        trainable: names of parameters that the strategy wants to train.
        layers: states that the mixing asks for.
        reinitialized: as in the report.
        injected: as in the report.
        dropped: as in the report.
        encoder_frozen_until: as in the report.
    """
    idle = unused_parameters(encoder, layers=layers)
    fixed = {f"model.{name}" for name in encoder.family.fixed}  # a table of sinusoids stays one
    wanted = set(trainable) - set(idle) - fixed
    trained: list[str] = []
    num_trainable = num_total = 0
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in wanted)
        num_total += parameter.numel()
        if name in wanted:
            trained.append(name)
            num_trainable += parameter.numel()
    return AdaptationReport(
        strategy=strategy,
        num_trainable=num_trainable,
        num_total=num_total,
        trainable=tuple(trained),
        reinitialized=tuple(reinitialized),
        injected=tuple(injected),
        dropped=tuple(dropped),
        unused=tuple(idle),
        encoder_frozen_until=encoder_frozen_until,
    )


def unused_parameters(encoder: SpeechEncoder, *, layers: Layers) -> list[str]:
    """Parameters that no forward pass in training reaches when ``layers`` are asked for."""
    idle: list[str] = []
    depth = encoder.num_layers if isinstance(layers, str) else max(layers)
    for index, block in enumerate(encoder.blocks):
        if index >= depth:
            idle += parameter_names(encoder, block)
    if encoder.final_norm is not None and layers != "last":
        idle += parameter_names(encoder, encoder.final_norm)
    if encoder.spec_augment.time_prob == 0 and hasattr(encoder.model, "masked_spec_embed"):
        idle.append("model.masked_spec_embed")
    return idle


def parameter_names(encoder: SpeechEncoder, module: Any) -> list[str]:
    """The encoder's names for the parameters of one of its modules, in the encoder's order."""
    inside = {id(parameter) for parameter in module.parameters()}
    return [name for name, parameter in encoder.named_parameters() if id(parameter) in inside]


def freeze(encoder: SpeechEncoder) -> None:
    """Train nothing of the encoder for now.

    Dropout and masking stay on, as in fairseq's ``freeze_finetune_updates``; with no gradient
    asked for, no graph is built.
    """
    encoder.requires_grad_(False)


def unfreeze(encoder: SpeechEncoder, *, report: AdaptationReport) -> None:
    """Train what ``report`` names; check the gradients of the next backward pass.

    Raises:
        ValueError: if the report is not this encoder's.
    """
    parameters = dict(encoder.named_parameters())
    for name in report.trainable:
        if name not in parameters:
            raise ValueError(
                f"the report of adaptation={report.strategy} names {name}, which this encoder "
                "does not have; unfreeze the encoder that the strategy was applied to"
            )
        parameters[name].requires_grad_(True)
