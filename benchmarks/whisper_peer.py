"""Peers of Whisper's encoder: transformers' own forward over 30 s, and its blocks at real length.

Both put one linear layer on ``WhisperEncoder`` and train it with CTC over an utterance's real
frames. The first is what fine-tuning scripts do: ``WhisperFeatureExtractor`` fills every utterance
up to 30 s. The second is what a script must do to save that: mel frames without padding, position
embeddings cut to length and an additive attention mask, in batches padded to their longest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers_loop import IGNORED, Peer, num_trainable

from slue_ner.data.loading.batch import Example
from slue_ner.models.ctc_model import CTCModel


def whisper_peers(
    model: CTCModel, examples: Sequence[Example], *, stock_updates: int
) -> dict[str, Peer]:
    """The stock peer and the one at real length.

    Args:
        model: ours.
        examples: in the batches that grouping by length makes, one batch after another.
        stock_updates: of the stock peer in a round.
    """
    peers = {}
    extractor = whisper_extractor(model)
    for fill_up, length in ((True, "30 s"), (False, "real length")):
        started = time.perf_counter()
        features = WhisperFeatures(examples, extractor, fill_up=fill_up)
        seconds = time.perf_counter() - started
        samplings = {"random": "random"} | ({} if fill_up else {"grouped": "sequential"})
        for batches, sampling in samplings.items():
            peers[f"{length}, {batches}"] = Peer(
                build=partial(WhisperCTC, model, fill_up=fill_up),
                features=features,
                extraction_seconds=seconds,
                collate=collate_whisper,
                extractor=extractor,
                sampling=sampling,
                max_updates=stock_updates if fill_up else None,
            )
    return peers


class WhisperCTC(nn.Module):
    """Encoder and head with the weights of ``model``, called as ``transformers.Trainer`` does.

    Args:
        model: ours.
        fill_up: the stock forward over 30 s; otherwise the blocks over each batch's longest.
    """

    def __init__(self, model: CTCModel, *, fill_up: bool) -> None:
        super().__init__()
        stock = model.encoder.model
        config = type(stock.config).from_dict(stock.config.to_dict())
        config._attn_implementation = "sdpa"
        self.fill_up = fill_up
        self.encoder: Any = WhisperEncoder(config)
        self.encoder.load_state_dict(stock.state_dict())
        self.encoder.embed_positions.requires_grad_(False)
        self.head = nn.Linear(config.d_model, model.head.projection.out_features)
        self.head.load_state_dict(model.head.projection.state_dict())
        assert num_trainable(self) == num_trainable(model)

    def forward(self, input_features: Tensor, num_frames: Tensor, labels: Tensor) -> dict[str, Any]:
        """Mean over utterances of the loss per symbol, as transformers' CTC models have it.

        Args:
            input_features: ``(B, M, 2 * T)``, two mel frames for each encoder frame.
            num_frames: real encoder frames, ``(B,)``.
            labels: symbol ids, ``(B, U)``, padded with ``IGNORED``.
        """
        if self.fill_up:
            states = self.encoder(input_features).last_hidden_state  # (B, 1500, D)
        else:
            states = self._at_real_length(input_features, num_frames)  # (B, T, D)
        log_probs = functional.log_softmax(self.head(states), dim=-1, dtype=torch.float32)
        real = labels >= 0
        loss = functional.ctc_loss(
            log_probs.transpose(0, 1),
            labels.masked_select(real),
            num_frames,
            real.sum(-1),
            blank=0,
            reduction="mean",
        )
        return {"loss": loss}

    def _at_real_length(self, mel: Tensor, num_frames: Tensor) -> Tensor:
        encoder = self.encoder
        hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel))))
        hidden = hidden.transpose(1, 2)  # (B, T, D)
        total = hidden.shape[1]
        hidden = hidden + encoder.embed_positions.weight[:total]
        padding = torch.arange(total) >= num_frames[:, None]
        mask = hidden.new_zeros(len(hidden), 1, 1, total)
        mask = mask.masked_fill(padding[:, None, None], torch.finfo(mask.dtype).min)
        for block in encoder.layers:
            hidden = block(hidden, mask)
        states: Tensor = encoder.layer_norm(hidden)
        return states


class WhisperFeatures(Dataset[dict[str, Any]]):
    """Mel frames and labels of every utterance, in memory before training starts."""

    def __init__(
        self, examples: Sequence[Example], extractor: WhisperFeatureExtractor, *, fill_up: bool
    ) -> None:
        self.rows = []
        for example in examples:
            assert example.waveform is not None
            num_frames = len(example.waveform) // (2 * extractor.hop_length)
            extracted = extractor(
                example.waveform.numpy(),
                sampling_rate=extractor.sampling_rate,
                padding="max_length" if fill_up else "do_not_pad",
            )
            mel = torch.from_numpy(np.ascontiguousarray(extracted["input_features"][0].T))  # (N, M)
            self.rows.append(
                {
                    # time first, since transformers groups by len()
                    "input_features": mel if fill_up else mel[: 2 * num_frames],
                    "num_frames": num_frames,
                    "labels": example.target,
                }
            )

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Mel frames ``(N, M)``, the number of encoder frames, and symbol ids ``(U,)``."""
        return self.rows[index]


def collate_whisper(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One batch of model arguments, padded to the longest."""
    mel = pad_sequence([row["input_features"] for row in rows], batch_first=True)  # (B, N, M)
    labels = [row["labels"] for row in rows]
    return {
        "input_features": mel.transpose(1, 2).contiguous(),
        "num_frames": torch.tensor([row["num_frames"] for row in rows]),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


def whisper_extractor(model: CTCModel) -> WhisperFeatureExtractor:
    """The feature extractor of the model's checkpoint."""
    return WhisperFeatureExtractor(feature_size=model.encoder.config.num_mel_bins)
