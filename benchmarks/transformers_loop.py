"""The peer: ``transformers.Trainer`` on a CTC model, as in the official fine-tuning example.

Source: ``examples/pytorch/speech-recognition/run_speech_recognition_ctc.py`` of transformers. Its
features are extracted before training; here they lie in memory as arrays, which is faster than
the example's Arrow files. The model is the one given, weight for weight.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    SeamlessM4TFeatureExtractor,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    Wav2Vec2BertForCTC,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from slue_ner.data.loading.batch import Example
from slue_ner.models.ctc_model import CTCModel

IGNORED = -100
"""Padding of labels, which transformers' loss leaves out."""

CLASSES: dict[str, Any] = {"wav2vec2": Wav2Vec2ForCTC, "wav2vec2-bert": Wav2Vec2BertForCTC}

SAMPLINGS = ("random", "group_by_length")
"""transformers' default and its grouping by length."""


@dataclass(frozen=True)
class Peer:
    """A contestant that ``transformers.Trainer`` trains.

    Attributes:
        build: its model at the start, weight for weight ours; called in every round.
        features: what it trains on, extracted before.
        extraction_seconds: what that took.
        collate: rows of ``features`` to model arguments.
        extractor: names the input whose ``len`` groups by length.
        sampling: transformers' ``train_sampling_strategy``.
        max_updates: updates of a round, of a peer to which every utterance costs the same; ``None``
            trains all epochs.
    """

    build: Callable[[], Any]
    features: Dataset[dict[str, Any]]
    extraction_seconds: float
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]
    extractor: Any
    sampling: str
    max_updates: int | None = None


def stock_peers(model: CTCModel, examples: Sequence[Example]) -> dict[str, Peer]:
    """The example's model, with both samplings."""
    extractor = stock_extractor(model)
    started = time.perf_counter()
    features = ExtractedFeatures(examples, extractor)
    seconds = time.perf_counter() - started
    return {
        sampling: Peer(
            build=lambda: peer_model(model),
            features=features,
            extraction_seconds=seconds,
            collate=PaddingCollator(extractor),
            extractor=extractor,
            sampling=sampling,
        )
        for sampling in SAMPLINGS
    }


def peer_model(model: CTCModel) -> Any:
    """The stock CTC model with the weights of ``model``; blank is symbol 0 in both."""
    encoder = model.encoder
    peer_class = CLASSES[encoder.family.name]
    values = encoder.config.to_dict() | {
        "vocab_size": model.head.projection.out_features,
        "pad_token_id": 0,
        "final_dropout": 0.0,
        "layerdrop": 0.0,  # would skip blocks that ours computes
        "ctc_loss_reduction": "mean",
    }
    peer = peer_class(encoder.config.__class__.from_dict(values))
    getattr(peer, peer.base_model_prefix).load_state_dict(encoder.model.state_dict())
    peer.lm_head.load_state_dict(model.head.projection.state_dict())
    if encoder.filter_bank is None:
        peer.freeze_feature_encoder()  # the example's default, and that of adaptation=full
    assert num_trainable(peer) == num_trainable(model)
    return peer


def stock_extractor(model: CTCModel) -> Any:
    """The feature extractor that belongs to the peer, set to compute what our encoder does."""
    encoder = model.encoder
    if encoder.filter_bank is not None:
        bank = encoder.filter_bank
        return SeamlessM4TFeatureExtractor(
            feature_size=bank.num_mel_bins, num_mel_bins=bank.num_mel_bins, stride=bank.stride
        )
    return Wav2Vec2FeatureExtractor(
        do_normalize=encoder.normalize_waveform,
        # base-style models are trained without a mask
        return_attention_mask=encoder.config.feat_extract_norm == "layer",
    )


class ExtractedFeatures(Dataset[dict[str, Any]]):
    """Features and labels of every utterance, in memory before training starts."""

    def __init__(self, examples: Sequence[Example], extractor: Any) -> None:
        self.name = extractor.model_input_names[0]
        self.rows = []
        for example in examples:
            assert example.waveform is not None
            extracted = extractor(example.waveform.numpy(), sampling_rate=16_000, padding=False)
            self.rows.append(
                {self.name: extracted[self.name][0], "labels": example.target.tolist()}
            )

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Features ``(S,)`` or ``(T, D)`` and label ids."""
        return self.rows[index]


@dataclass(frozen=True)
class PaddingCollator:
    """The example's ``DataCollatorCTCWithPadding``: pads inputs and labels to the longest."""

    extractor: Any

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One batch of model arguments."""
        name = self.extractor.model_input_names[0]
        inputs = [{name: row[name]} for row in rows]
        batch = self.extractor.pad(inputs, padding=True, return_tensors="pt")
        labels = [torch.tensor(row["labels"]) for row in rows]
        batch["labels"] = torch.nn.utils.rnn.pad_sequence(
            labels, batch_first=True, padding_value=IGNORED
        )
        return dict(batch)


def train_seconds(peer: Peer, *, batch_size: int, epochs: int, lr: float, seed: int) -> float:
    """Seconds from the start of training to the end of its last update."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=epochs,
            max_steps=peer.max_updates or -1,
            learning_rate=lr,
            train_sampling_strategy=peer.sampling,
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(
            model=peer.build(),
            args=arguments,
            train_dataset=peer.features,
            data_collator=peer.collate,
            processing_class=peer.extractor,
            callbacks=[clock],
        )
        trainer.train()
    return clock.seconds


def num_trainable(module: nn.Module) -> int:
    """Values that get a gradient."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.start = 0.0
        self.seconds = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.start
