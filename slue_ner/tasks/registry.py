"""All tasks, and the typed form of a composed config, which names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slue_ner.core.suggest import nearest
from slue_ner.core.typed_config import from_mapping
from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.models.adaptation.strategy import Strategy
from slue_ner.tasks.ctc_task import CTC
from slue_ner.tasks.frame_task import FrameClassification
from slue_ner.tasks.pretraining import Pretraining
from slue_ner.tasks.text_task import TextNER
from slue_ner.training.speech import SpeechConfig
from slue_ner.training.task import RunConfig, Task

TASKS: dict[str, type[Task]] = {
    "ctc": CTC,
    "frames": FrameClassification,
    "pretrain": Pretraining,
    "text_ner": TextNER,
}
"""Tasks by what ``task.kind`` says."""


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """The typed form of a composed config.

    Raises:
        ValueError: naming the key that is unknown, missing or wrong.
    """
    made: dict[str, Any] = {"task": task(values.get("task"))}
    config_type = made["task"].config_type
    if issubclass(config_type, SpeechConfig):
        made = {"adaptation": strategy(values.get("adaptation")), **made}
    config: RunConfig = from_mapping(config_type, {**values, **made})
    return config


def task(values: Any) -> Task:
    """The task named by ``kind``, with the rest as its options."""
    if not isinstance(values, Mapping) or "kind" not in values:
        raise ValueError("task.kind is missing; known: " + ", ".join(TASKS))
    kind = values["kind"]
    if kind not in TASKS:
        raise ValueError(f"task.kind={kind!r} is unknown; {nearest(str(kind), TASKS)}")
    options = {key: value for key, value in values.items() if key != "kind"}
    return from_mapping(TASKS[kind], options, where="task")


def strategy(values: Any) -> Strategy:
    """The adaptation strategy named by ``strategy``, with the rest as its options."""
    if not isinstance(values, Mapping) or "strategy" not in values:
        raise ValueError("adaptation.strategy is missing; known: " + ", ".join(STRATEGIES))
    name = values["strategy"]
    if name not in STRATEGIES:
        raise ValueError(f"adaptation={name!r} is unknown; {nearest(str(name), STRATEGIES)}")
    options = {key: value for key, value in values.items() if key != "strategy"}
    made: Strategy = from_mapping(STRATEGIES[name], options, where="adaptation")
    return made
