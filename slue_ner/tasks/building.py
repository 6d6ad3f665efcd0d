"""From a config and a vocabulary to a model, for training and for a finished run alike."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json, write_json
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.building import build_encoder, encoder_from_blueprint
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.frame_heads import FrameHead
from slue_ner.models.frame_model import FrameModel
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import build_mixing
from slue_ner.models.pretrain_model import PretrainModel
from slue_ner.tasks.checkpoint_files import BEST_WEIGHTS, LAST_WEIGHTS, load_weights
from slue_ner.tasks.config import TrainConfig
from slue_ner.tasks.frame_targets import FrameOptions
from slue_ner.tasks.targets import CTCOptions
from slue_ner.tasks.units import PretrainOptions
from slue_ner.text.vocabulary import Vocabulary

VOCABULARY_FILE = "vocabulary.json"
ENCODER_FILE = "encoder.json"
CHECKPOINTS = "checkpoints"
ENCODER_FOLDER = "encoder"
"""Where a pre-training run leaves its encoder for others to load."""

_FILES = {"best": BEST_WEIGHTS, "last": LAST_WEIGHTS}


def new_model(
    config: TrainConfig, vocabulary: Vocabulary, run_dir: Path
) -> tuple[CTCModel, AdaptationReport]:
    """A model at the start of training; the encoder's blueprint goes into the run folder."""
    encoder, report = new_encoder(config, run_dir)
    return _with_head(config, encoder, vocabulary), report


def new_encoder(config: TrainConfig, run_dir: Path) -> tuple[SpeechEncoder, AdaptationReport]:
    """An adapted encoder at the start of training; its blueprint goes into the run folder."""
    encoder = build_encoder(config.encoder)
    write_json(run_dir / ENCODER_FILE, encoder.blueprint)
    return encoder, copy.copy(config.adaptation).apply(encoder, mixing=config.mixing)


def frame_model(
    config: TrainConfig,
    options: FrameOptions,
    encoder: SpeechEncoder,
    vocabulary: Vocabulary | None,
) -> FrameModel:
    """The encoder with a frame head, and a CTC head where there is a vocabulary for it."""
    head = FrameHead(
        encoder.hidden_size,
        num_classes=len(options.symbols),
        options=options.head,
        dropout=config.head.dropout,
    )
    return FrameModel(
        encoder,
        build_mixing(config.mixing, num_layers=encoder.num_layers),
        head,
        symbols=options.symbols,
        exclusive=options.exclusive,
        head=None if vocabulary is None else _ctc_head(config, encoder, vocabulary),
    )


def pretrain_model(
    options: PretrainOptions, encoder: SpeechEncoder, vocabulary: Vocabulary | None
) -> PretrainModel:
    """The encoder with the heads that its objective needs."""
    return PretrainModel(
        encoder,
        num_clusters=options.num_clusters if options.guesses_clusters else None,
        num_units=None if vocabulary is None else len(vocabulary),
    )


def trained_model(
    config: TrainConfig, run_dir: Path, *, weights: str = "best"
) -> tuple[CTCModel, Vocabulary]:
    """The model of a run folder; neither hub nor original checkpoint is needed.

    Args:
        config: of the run.
        run_dir: the run folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming the file that is missing or does not fit.
    """
    if isinstance(config.task, FrameOptions):
        raise ValueError(f"{run_dir} classifies frames; load it as a run of task=frames")
    if not isinstance(config.task, CTCOptions):
        raise ValueError(
            f"{run_dir} pre-trained an encoder and finds no entities; train with "
            f"encoder=checkpoint encoder.source={run_dir / ENCODER_FOLDER} first"
        )
    _check_run(run_dir, VOCABULARY_FILE)
    vocabulary = Vocabulary.load(run_dir / VOCABULARY_FILE)
    model = _with_head(config, _encoder_again(config, run_dir), vocabulary)
    load_weights(model, run_dir / CHECKPOINTS / _FILES[weights], vocabulary=vocabulary)
    return model.eval(), vocabulary


def trained_frame_model(
    config: TrainConfig, options: FrameOptions, run_dir: Path, *, weights: str = "best"
) -> tuple[FrameModel, Vocabulary | None]:
    """The frame model of a run folder, and its CTC head's vocabulary where it has such a head.

    Args:
        config: of the run.
        options: of its task.
        run_dir: the run folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming the file that is missing or does not fit.
    """
    vocabulary = None
    if options.ctc_weight:
        _check_run(run_dir, VOCABULARY_FILE)
        vocabulary = Vocabulary.load(run_dir / VOCABULARY_FILE)
    model = frame_model(config, options, _encoder_again(config, run_dir), vocabulary)
    load_weights(model, run_dir / CHECKPOINTS / _FILES[weights], vocabulary=vocabulary)
    return model.eval(), vocabulary


def trained_encoder(config: TrainConfig, run_dir: Path, *, weights: str = "best") -> SpeechEncoder:
    """The encoder of a run folder, whatever it was trained for.

    Args:
        config: of the run.
        run_dir: the run folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming the file that is missing or does not fit.
    """
    options = config.task
    if isinstance(options, CTCOptions):
        return trained_model(config, run_dir, weights=weights)[0].encoder
    if isinstance(options, FrameOptions):
        return trained_frame_model(config, options, run_dir, weights=weights)[0].encoder
    vocabulary = None
    if options.writes_units:
        _check_run(run_dir, VOCABULARY_FILE)
        vocabulary = Vocabulary.load(run_dir / VOCABULARY_FILE)
    model = pretrain_model(options, _encoder_again(config, run_dir), vocabulary)
    load_weights(model, run_dir / CHECKPOINTS / _FILES[weights], vocabulary=vocabulary)
    return model.eval().encoder


def _encoder_again(config: TrainConfig, run_dir: Path) -> SpeechEncoder:
    """The structure that the run's encoder has, with weights to be loaded."""
    _check_run(run_dir, ENCODER_FILE)
    blueprint: Mapping[str, Any] = read_json(run_dir / ENCODER_FILE)
    try:
        encoder = encoder_from_blueprint(blueprint)
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"{run_dir / ENCODER_FILE} describes no encoder ({type(error).__name__}: {error}); "
            "copy the run again"
        ) from error
    copy.copy(config.adaptation).apply(encoder, mixing=config.mixing)
    return encoder


def _with_head(config: TrainConfig, encoder: SpeechEncoder, vocabulary: Vocabulary) -> CTCModel:
    mixing = build_mixing(config.mixing, num_layers=encoder.num_layers)
    return CTCModel(encoder, mixing, _ctc_head(config, encoder, vocabulary))


def _ctc_head(config: TrainConfig, encoder: SpeechEncoder, vocabulary: Vocabulary) -> CTCHead:
    return CTCHead(
        encoder.hidden_size,
        vocabulary_size=len(vocabulary),
        dropout=config.head.dropout,
        blocks=config.head,
    )


def _check_run(run_dir: Path, name: str) -> None:
    if not (run_dir / name).is_file():
        raise ValueError(f"{run_dir} is not a finished run: it has no {name}")
