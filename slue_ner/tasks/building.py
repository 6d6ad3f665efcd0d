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
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import build_mixing
from slue_ner.tasks.checkpoint_files import BEST_WEIGHTS, LAST_WEIGHTS, load_weights
from slue_ner.tasks.config import TrainConfig
from slue_ner.text.vocabulary import Vocabulary

VOCABULARY_FILE = "vocabulary.json"
ENCODER_FILE = "encoder.json"
CHECKPOINTS = "checkpoints"


def new_model(
    config: TrainConfig, vocabulary: Vocabulary, run_dir: Path
) -> tuple[CTCModel, AdaptationReport]:
    """A model at the start of training; the encoder's blueprint goes into the run folder."""
    encoder = build_encoder(config.encoder)
    write_json(run_dir / ENCODER_FILE, encoder.blueprint)
    return _adapted(config, encoder, vocabulary)


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
    for name in (VOCABULARY_FILE, ENCODER_FILE):
        if not (run_dir / name).is_file():
            raise ValueError(f"{run_dir} is not a finished run: it has no {name}")
    vocabulary = Vocabulary.load(run_dir / VOCABULARY_FILE)
    blueprint: Mapping[str, Any] = read_json(run_dir / ENCODER_FILE)
    model, _ = _adapted(config, encoder_from_blueprint(blueprint), vocabulary)
    file = BEST_WEIGHTS if weights == "best" else LAST_WEIGHTS
    load_weights(model, run_dir / CHECKPOINTS / file)
    return model.eval(), vocabulary


def _adapted(
    config: TrainConfig, encoder: SpeechEncoder, vocabulary: Vocabulary
) -> tuple[CTCModel, AdaptationReport]:
    report = copy.copy(config.adaptation).apply(encoder, mixing=config.mixing)
    mixing = build_mixing(config.mixing, num_layers=encoder.num_layers)
    head = CTCHead(
        encoder.hidden_size,
        vocabulary_size=len(vocabulary),
        dropout=config.head.dropout,
    )
    return CTCModel(encoder, mixing, head), report
