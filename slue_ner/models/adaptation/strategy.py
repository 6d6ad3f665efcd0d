"""What an adaptation strategy is: a config that acts on an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.encoder import SpeechEncoder
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
class HeadFirst(Strategy):
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
