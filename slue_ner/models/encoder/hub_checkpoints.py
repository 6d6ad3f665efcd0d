"""Checkpoints in transformers' format, read from a folder or the hub and checked.

Nothing read here can run code: model classes come from the family table, remote code is never
trusted, and weights are safetensors or are unpickled with ``weights_only``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file

import slue_ner
from slue_ner.core.files import read_json
from slue_ner.models.encoder.families import Family, model_class
from slue_ner.models.encoder.weight_files import UNREADABLE, check_weights, damage, reason, shards

SHIPPED = "small-sfm"
"""The source that means the encoder in ``checkpoints/small-sfm``, which ships with this package."""

HUB_CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
_WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""In the order in which transformers looks for them."""
MAY_BE_NEW = frozenset({"masked_spec_embed"})  # only training with SpecAugment uses it
_WHOLE = {r"^(model\.)?encoder\.": ""}
"""Where a whole model keeps the encoder of a family that is loaded without its decoder."""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def read_hub_config(source: str, *, revision: str | None = None) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        ValueError: if there is no such folder, no such file, or no network for a hub id.
    """
    path = _locate(source, HUB_CONFIG_FILE, revision=revision)
    if path is None and (Path(source) / "checkpoints").is_dir():
        inside = Path(source) / "encoder"
        way_out = f"give {inside}" if inside.is_dir() else f"`slue-ner export {source} FOLDER`"
        raise ValueError(
            f"{source} has no {HUB_CONFIG_FILE} and looks like a run folder; {way_out} "
            "for its encoder"
        )
    if path is None and Path(source).is_dir():
        raise ValueError(
            f"{source} has no {HUB_CONFIG_FILE}; give a folder written by save_pretrained or a "
            "hub id"
        )
    if path is None:
        raise ValueError(
            f"cannot get {HUB_CONFIG_FILE} of {source}; download it where there is a network with "
            f"`hf download {source}`, or give a local folder"
        )
    return _read_object(path)


def read_preprocessor(source: str, *, revision: str | None = None) -> dict[str, Any]:
    """The checkpoint's feature extractor, looked for where transformers does; empty without one.

    transformers 5 writes it into processor_config.json, which may be one of before, without it.
    """
    path = _locate(source, PROCESSOR_FILE, revision=revision)
    if path is not None:
        processor = _read_object(path)
        nested = processor.get("feature_extractor", processor.get("audio_processor"))
        if nested is not None:
            return _object(nested, f"{path}: feature_extractor")
    path = _locate(source, PREPROCESSOR_FILE, revision=revision)
    return {} if path is None else _read_object(path)


def load_model(
    source: str,
    *,
    config: Any,
    found: Family,
    attention: str,
    revision: str | None = None,
    depth_chosen: bool = False,
) -> tuple[Any, list[str]]:
    """The bare encoder with a checkpoint's weights, in float32, and the weights left out.

    Heads of the checkpoint (CTC, pre-training) are left out and weight-norm renames are followed.

    Args:
        source: local folder or hub id.
        config: a transformers config whose class selects the model class.
        found: its family.
        attention: transformers' ``attn_implementation``.
        revision: branch, tag or commit of a hub id.
        depth_chosen: fewer blocks than the checkpoint has are intended.

    Raises:
        ValueError: if weights cannot be found or read, do not fit ``config``, or lack a part of
            the encoder.
    """
    if source == SHIPPED:
        source = str(shipped_checkpoint())
    weights = weights_of(source, revision=revision)
    try:
        with quiet_transformers():
            model, info = model_class(config).from_pretrained(
                source,
                config=config,
                revision=revision or "main",
                attn_implementation=attention,
                dtype=torch.float32,
                use_safetensors=is_safe(weights),
                weights_only=True,
                output_loading_info=True,
                key_mapping=None if found.trunk else _WHOLE,
            )
    except UNREADABLE as error:
        if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
            raise ValueError(
                f"the weights of {source} do not fit its config ({reason(error)}); check overrides"
            ) from error
        raise ValueError(
            f"{weights or source} has no weights that can be read ({reason(error)}); give a folder "
            "with model.safetensors, or download it again"
        ) from error
    missing = sorted(set(info["missing_keys"]) - MAY_BE_NEW)
    if missing:
        raise ValueError(
            f"{source} lacks {len(missing)} of the encoder's weights, first {missing[0]}; "
            "it is incomplete, or its config.json or overrides describe another model"
        )
    left_out = sorted(info["unexpected_keys"])
    # whole models have a prefix, which Whisper's lost in loading: `layers.` within is the decoder's
    before = r"(.*\.)?" if found.trunk else ""
    block = re.compile(rf"{before}{re.escape(found.blocks)}\.\d+\.")
    beyond = [name for name in left_out if block.match(name)]
    if beyond and not depth_chosen:
        raise ValueError(
            f"{source} has blocks beyond the {config.num_hidden_layers} of its config, first "
            f"{beyond[0]}; correct config.json or set overrides={{num_hidden_layers: ...}}"
        )
    if not found.trunk:  # transformers would undo the renaming when it saves, and 5.23 fails at it
        model._weight_conversions = None
    return model, left_out


def weights_of(source: str, *, revision: str | None = None) -> Path | None:
    """The file of weights (or the index of several) that transformers will read, checked.

    Returns:
        ``None`` when there is none.

    Raises:
        ValueError: naming the file that is a pointer, cut short, empty or not there.
    """
    for name in _WEIGHT_FILES:
        path = _locate(source, name, revision=revision)
        if path is None:
            continue
        if name.endswith(".index.json") and damage(path) is None:
            for shard in shards(path):
                _locate(source, shard, revision=revision)  # from the hub: fetches it
        check_weights(path)
        return path
    return None


def is_safe(weights: Path | None) -> bool:
    """Whether weights are safetensors; others are read with ``weights_only``."""
    return weights is not None and ".safetensors" in weights.suffixes


def is_checkpoint(source: Path) -> bool:
    """Whether a source is a folder with a model's config, or may be a hub id."""
    if source.exists():
        return (source / HUB_CONFIG_FILE).is_file()
    return not source.parent.is_dir() and _HUB_ID.fullmatch(str(source)) is not None


def check_exists(source: Path) -> None:
    """Refuse a path that is not there although its folder is: no hub id can be meant.

    Raises:
        ValueError: naming the path and the folder.
    """
    if not source.exists() and source.parent != Path() and source.parent.is_dir():
        raise ValueError(f"{source}: no such run folder or checkpoint in {source.parent}")


def shipped_checkpoint() -> Path:
    """Folder of the small encoder: inside an installed package, or beside it in a checkout.

    Raises:
        ValueError: when neither is there.
    """
    package = Path(slue_ner.__file__).resolve().parent
    for folder in (package / "checkpoints" / SHIPPED, package.parent / "checkpoints" / SHIPPED):
        if (folder / HUB_CONFIG_FILE).is_file():
            return folder
    raise ValueError(
        f"the encoder {SHIPPED} is missing from this installation; install slue-ner again, or "
        "make it with recipes/small_sfm/run.sh"
    )


def _locate(source: str, name: str, *, revision: str | None) -> Path | None:
    """Path of one file of a checkpoint; ``None`` when the checkpoint exists without it."""
    folder = shipped_checkpoint() if source == SHIPPED else Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    if not _HUB_ID.fullmatch(source):
        raise ValueError(f"{source} is neither a folder nor a hub id (owner/name)")
    try:
        found = cached_file(
            source, name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
    except OSError:  # no such repository, or no network and nothing in the cache
        found = None
    return None if found is None else Path(found)


def _read_object(path: Path) -> dict[str, Any]:
    return _object(read_json(path), str(path))


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} should hold a JSON object, got {str(value)[:40]!r}")
    return value


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' own reports and progress bars: the caller checks and speaks."""
    verbosity = transformers_logging.get_verbosity()
    had_bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if had_bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
