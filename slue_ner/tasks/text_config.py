"""Everything a text NER run is told; it hears nothing, so the speech groups have no part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slue_ner.core.config import from_mapping
from slue_ner.models.small_tagger import SmallTaggerOptions
from slue_ner.tasks.config import RunConfig, TrainConfig, train_config

KIND = "text_ner"


@dataclass(kw_only=True)
class TextNEROptions:
    """What finds entities in text, and how it is trained.

    Attributes:
        source: hub id or folder of a pre-trained text model; ``None`` trains a small one from
            random weights.
        revision: branch, tag or commit of a hub id.
        batch_size: sentences a batch, a device.
        max_tokens: longest window of a pre-trained model in sub-tokens.
        noise: probability that a letter or a gap between words is spoiled in training.
        asr_text: predictions file of a recogniser on the training data, whose words are trained
            on beside the gold ones; ``None`` for gold text alone.
        small: sizes of the small tagger.
    """

    source: str | None
    revision: str | None
    batch_size: int
    max_tokens: int
    noise: float
    asr_text: str | None
    small: SmallTaggerOptions

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"task.batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.noise < 1:
            raise ValueError(f"task.noise is a probability in [0, 1), got {self.noise}")
        if self.revision is not None and self.source is None:
            raise ValueError(
                f"task.revision={self.revision} is of a hub id; set task.source, too, or leave it "
                "out"
            )


@dataclass(kw_only=True)
class TextConfig(RunConfig):
    """One run of text NER."""

    task: TextNEROptions


def run_config(values: Mapping[str, Any]) -> TrainConfig | TextConfig:
    """The typed form of a composed config, of speech or of text.

    Raises:
        ValueError: naming the key that is unknown, missing or wrong.
    """
    return text_config(values) if is_text(values) else train_config(values)


def text_config(values: Mapping[str, Any]) -> TextConfig:
    """The typed form of a composed config of text NER; errors as in ``run_config``."""
    task = {key: value for key, value in values["task"].items() if key != "kind"}
    options = from_mapping(TextNEROptions, task, where="task")
    return from_mapping(TextConfig, {**values, "task": options})


def is_text(values: Mapping[str, Any]) -> bool:
    """Whether a composed config is one of text NER."""
    task = values.get("task")
    return isinstance(task, Mapping) and task.get("kind") == KIND
