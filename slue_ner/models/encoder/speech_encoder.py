"""One speech encoder over every family: waveforms in, frames out, padding without influence.

Hidden states follow one convention, that of stock transformers 5: ``states[0]`` is the input of
the first block and ``states[i]`` the raw output of block ``i``. "last" is the model's
``last_hidden_state``: for Whisper and for large-style models (``do_stable_layer_norm``) that is the
last block's output after the encoder's final LayerNorm, for all others the last block's output.
Stock Whisper alone hands "last" out as its highest hidden state too; here it stays raw.

Below it: the stem, from projected features to the input of the first block, and long audio in
overlapping windows, for an encoder of limited length.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.models.encoder.families import Family
from slue_ner.models.encoder.frames import (
    Frames,
    check_at_once,
    check_lengths,
    frames_of,
    valid_positions,
)
from slue_ner.models.encoder.front_end import convolution_grid, convolve, normalize_waveforms
from slue_ner.models.encoder.kaldi_mel import FilterBank
from slue_ner.models.encoder.masking import SpecAugment
from slue_ner.models.encoder.whisper_mel import WhisperMel
from slue_ner.models.mixing import Layers, check_layers


class SpeechEncoder(nn.Module):
    """A transformers speech model, run block by block.

    Only the blocks below the highest layer asked for are computed. LayerDrop replaces a block's
    output by its input but still computes it, so every parameter has a gradient on every rank.

    Attributes:
        model: the transformers model that holds all parameters.
        family: facts about the model's family.
        filter_bank: log-mel input; ``None`` for families that read the waveform.
        grid: samples to frames, exact.
        normalize_waveform: scale each utterance to zero mean and unit variance first.
        layerdrop: probability of skipping a block in training.
        gradient_checkpointing: recompute blocks in the backward pass to save memory.
        pad_frames: frames to which every input is filled up with silence; ``None`` for its own
            length.
        frozen: stays in eval mode and builds no graph.
        kept: parts that stay in eval mode although others are trained; they draw no dropout.
        blueprint: JSON-ready description from which ``encoder_from_blueprint`` builds the same
            structure again, as it was before any adaptation.
        left_out: weights of the checkpoint that the encoder has no place for, such as heads.
        guess: what the checkpoint does not say and was guessed, as a sentence.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        family: Family,
        filter_bank: FilterBank | WhisperMel | None,
        spec_augment: SpecAugment,
        normalize_waveform: bool,
        layerdrop: float = 0.0,
        gradient_checkpointing: bool = False,
        pad_frames: int | None = None,
        blueprint: dict[str, Any],
    ) -> None:
        super().__init__()
        if not 0.0 <= layerdrop < 1.0:
            raise ValueError(f"layerdrop must be in [0, 1), got {layerdrop}")
        self.model: Any = model  # its parts are typed as Tensor | Module otherwise
        self.family = family
        self.filter_bank = filter_bank
        self.spec_augment = spec_augment
        self.normalize_waveform = normalize_waveform
        self.layerdrop = layerdrop
        self.gradient_checkpointing = gradient_checkpointing
        self.pad_frames = pad_frames
        for name in family.fixed:
            model.get_parameter(name).requires_grad_(False)
        self.frozen = False
        self.kept: tuple[nn.Module, ...] = ()
        self.blueprint = blueprint
        self.left_out: tuple[str, ...] = ()
        self.guess: str | None = None
        self.grid: FrameGrid = (
            convolution_grid(model.config) if filter_bank is None else filter_bank.grid
        )

    @property
    def config(self) -> Any:
        """The transformers config, true to the model as it is now."""
        return self.model.config

    @property
    def hidden_size(self) -> int:
        """Width ``D`` of every hidden state."""
        return int(self.config.hidden_size)

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer or conformer blocks, lowest first."""
        blocks: nn.ModuleList = self.trunk.layers
        return blocks

    @property
    def trunk(self) -> Any:
        """The part of the model that owns the blocks."""
        return self.model.get_submodule(self.family.trunk)

    @property
    def max_frames(self) -> int | None:
        """Most frames that can be encoded at once; ``None`` for any."""
        if self.pad_frames is not None:
            return self.pad_frames
        if self.family.log_mel == "whisper":
            return int(self.config.max_source_positions)
        return None  # w2v-BERT's config has the same key, but its model goes on beyond it

    @property
    def filled_to(self) -> Seconds:
        """Seconds to which shorter audio is filled up with silence; 0 for its own length."""
        return (self.pad_frames or 0) * self.grid.frame_seconds

    @property
    def num_layers(self) -> int:
        """Number of blocks; there is one more hidden state than that."""
        return len(self.blocks)

    @property
    def final_norm(self) -> nn.Module | None:
        """The LayerNorm between the last block and "last", of Whisper and large-style models."""
        behind = getattr(self.config, "do_stable_layer_norm", self.family.log_mel == "whisper")
        return self.trunk.layer_norm if behind else None

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but what is frozen, which stays in eval mode."""
        super().train(mode and not self.frozen)
        for part in self.kept:
            part.eval()
        return self

    def frozen_modules(self) -> set[nn.Module]:
        """Every module that is in eval mode whatever is asked for."""
        parts = (self,) if self.frozen else self.kept
        return {module for part in parts for module in part.modules()}

    def forward(
        self,
        waveforms: Tensor,
        num_samples: Tensor,
        *,
        layers: Layers = "last",
        masked: Tensor | None = None,
    ) -> Frames:
        """Encode a padded batch; an utterance's frames do not depend on its batch mates.

        Audio of more than ``max_frames`` is read in overlapping windows, in eval mode only.

        Args:
            waveforms: ``(B, S)`` float, zero-padded, at ``grid.sample_rate``.
            num_samples: real samples, ``(B,)`` long; on the CPU it costs no device
                synchronisation.
            layers: indices in [0, ``num_layers``], or "last".
            masked: frames whose input is hidden, ``(B, T)`` bool, also in eval mode; ``None``
                draws them in training as ``spec_augment`` says.

        Returns:
            Frames with ``T = grid.num_frames(S)`` and ``num_frames = grid.num_frames(n)``.

        Raises:
            ValueError: for an utterance shorter than one window, lengths that do not fit the
                batch, layers that do not exist, LayerDrop together with explicit layers, or in
                training an utterance of more than ``max_frames``.
        """
        padded = check_lengths(waveforms, num_samples, grid=self.grid)
        self._check_layers(layers)
        with torch.no_grad() if self.frozen else nullcontext():
            num_samples = num_samples.to(waveforms.device)
            num_frames = frames_of(num_samples, self.grid)
            encode, longest = partial(self._encode, layers=layers), self.max_frames
            if longest is None or self.grid.num_frames(waveforms.shape[1]) <= longest:
                states = encode(waveforms, num_samples, masked, padded=padded)
            else:
                if self.training:
                    check_at_once(num_samples, longest, grid=self.grid, name=self.family.name)
                alone = partial(encode, padded=False)
                states = encode_in_windows(
                    alone, waveforms, num_samples, masked=masked, grid=self.grid, size=longest
                )
        if layers == "last":
            return Frames(states[0], num_frames)
        top = max(range(len(layers)), key=lambda position: layers[position])
        return Frames(states[top], num_frames, torch.stack(states))

    def _encode(
        self,
        waveforms: Tensor,
        num_samples: Tensor,
        masked: Tensor | None,
        *,
        layers: Layers,
        padded: bool,
    ) -> list[Tensor]:
        """The states in ``layers``' order, or the last hidden state alone, ``(B, T, D)`` each."""
        total = self.grid.num_frames(waveforms.shape[1])
        num_frames = frames_of(num_samples, self.grid)
        if self.pad_frames is not None:  # the silence is heard, as the publisher trained it
            num_padded = self.grid.num_samples(self.pad_frames)
            waveforms = functional.pad(waveforms, (0, num_padded - waveforms.shape[1]))
            num_samples, padded = torch.full_like(num_samples, num_padded), False
            if masked is not None:
                masked = functional.pad(masked, (0, self.pad_frames - total))
        features = self._features(waveforms, num_samples, padded=padded)
        valid = valid_positions(num_frames, features.shape[1]) if padded else None
        if self.family.log_mel == "whisper":  # hidden where the stock model hides: in its input
            features = self.spec_augment(features, num_frames, features.new_zeros(()), masked)
            hidden = convolve_mel(self.model, features, valid)
        else:
            embedding = getattr(self.model, "masked_spec_embed", None)
            hidden = self.spec_augment(self._project(features), num_frames, embedding, masked)
        return [state[:, :total] for state in self._states(hidden, valid, layers)]

    def parts_below(self, top: int) -> tuple[nn.Module, ...]:
        """All that a waveform passes before the last ``top`` blocks, SpecAugment aside."""
        apart = (self.trunk, self.blocks, self.final_norm)
        parts = [*self.model.children(), *(self.trunk.children() if self.family.trunk else ())]
        stem = [part for part in parts if not any(part is other for other in apart)]
        return (*stem, *self.blocks[: self.num_layers - top])

    def drop_blocks(self, keep: int) -> list[str]:
        """Remove every block above the first ``keep``.

        Returns:
            Names of the parameters that are gone.
        """
        prefix = f"model.{self.family.blocks}."
        dropped = [
            name
            for name, _ in self.named_parameters()
            if name.startswith(prefix) and int(name.removeprefix(prefix).split(".")[0]) >= keep
        ]
        del self.blocks[keep:]
        self.config.num_hidden_layers = keep
        return dropped

    def _check_layers(self, layers: Layers) -> None:
        if isinstance(layers, str):
            if layers != "last":
                raise ValueError(f'layers must be "last" or a list of indices, got {layers!r}')
            return
        check_layers(layers, num_layers=self.num_layers, what="SpeechEncoder")
        if self.layerdrop > 0:
            raise ValueError(
                f"layerdrop={self.layerdrop} skips blocks at random, so single layers have no "
                "fixed meaning; set layerdrop=0 or mixing=last"
            )

    def _features(self, waveforms: Tensor, num_samples: Tensor, *, padded: bool) -> Tensor:
        if self.filter_bank is not None:
            features: Tensor = self.filter_bank(waveforms, num_samples)
            return features  # (B, T, M * stride)
        if self.normalize_waveform:
            waveforms = normalize_waveforms(waveforms, num_samples)
        layers = self.model.feature_extractor.conv_layers
        return convolve(layers, waveforms, num_samples, padded=padded)  # (B, T, C)

    def _project(self, features: Tensor) -> Tensor:
        projected = self.model.feature_projection(features)
        # HuBERT returns the projection, the others also the normalised features
        hidden: Tensor = projected[0] if isinstance(projected, tuple) else projected
        return hidden

    def _states(self, hidden: Tensor, valid: Tensor | None, layers: Layers) -> list[Tensor]:
        """The states in ``layers``' order, or the last hidden state alone."""
        hidden, context = to_first_block(self.model, hidden, valid)
        depth = self.num_layers if isinstance(layers, str) else max(layers)
        states = {0: hidden}
        for index, block in enumerate(self.blocks[:depth]):
            output = self._run_block(block, hidden, context)
            if isinstance(output, tuple):  # WavLM: the first block's position bias serves all
                output, context["position_bias"] = output
            if self.training and self.layerdrop > 0 and index > 0:
                kept = torch.rand((), device=hidden.device) >= self.layerdrop
                output = torch.where(kept, output, hidden)
            hidden = output
            if layers != "last" and index + 1 in layers:
                states[index + 1] = hidden
        if layers != "last":
            return [states[layer] for layer in layers]
        return [hidden if self.final_norm is None else self.final_norm(hidden)]

    def _run_block(self, block: nn.Module, hidden: Tensor, context: dict[str, Any]) -> Any:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, hidden, use_reentrant=False, **context)
        return block(hidden, **context)


NARROW = 16  # channels a group


def to_first_block(
    model: Any, hidden: Tensor, valid: Tensor | None
) -> tuple[Tensor, dict[str, Any]]:
    """Input of the first block, and the keyword arguments that every block takes.

    Args:
        model: a transformers speech model.
        hidden: projected (and in training masked) features, ``(B, T, D)``.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.
    """
    if valid is not None:
        hidden = hidden.masked_fill(~valid[..., None], 0.0)
    if model.config.model_type == "whisper":
        hidden = hidden + model.embed_positions.weight[: hidden.shape[1]]
        training = model.embed_positions.training  # off where the stem is kept as it is
        hidden = functional.dropout(hidden, p=model.dropout, training=training)
        return hidden, {"attention_mask": _attention_mask(valid)}
    encoder = model.encoder
    if hasattr(encoder, "embed_positions"):
        return _enter_conformer(encoder, hidden, valid)
    exact = hidden.device.type == "cpu" and _is_narrow(encoder.pos_conv_embed)
    with torch.autocast("cpu", enabled=False) if exact else nullcontext():
        hidden = hidden.float() if exact else hidden
        hidden = hidden + positional_embedding(encoder.pos_conv_embed, hidden, valid)
    if not getattr(model.config, "do_stable_layer_norm", False):
        hidden = encoder.layer_norm(hidden)
    hidden = encoder.dropout(hidden)
    if model.config.model_type == "wavlm":  # takes the plain mask, and a bias of its own making
        return hidden, {"attention_mask": valid, "position_bias": None}
    return hidden, {"attention_mask": _attention_mask(valid)}


def convolve_mel(model: Any, features: Tensor, valid: Tensor | None) -> Tensor:
    """Whisper's two convolutions over mel frames, with silence of zeros beyond each end.

    Args:
        model: transformers' ``WhisperEncoder``.
        features: two mel frames side by side, ``(B, T, 2 * M)``, zero at padding.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.

    Returns:
        ``(B, T, D)``.
    """
    mel = features.reshape(len(features), 2 * features.shape[1], -1).transpose(1, 2)  # (B, M, 2T)
    values = functional.gelu(model.conv1(mel))
    if valid is not None:  # the second convolution would read what the first left behind the end
        values = values * valid.repeat_interleave(2, dim=1)[:, None]
    return functional.gelu(model.conv2(values)).transpose(1, 2)  # (B, T, D)


def positional_embedding(embedding: Any, hidden: Tensor, valid: Tensor | None) -> Tensor:
    """Convolutional position embedding that sees zeros beyond each utterance's end.

    An utterance alone meets the zero padding of every convolution at its own end. In a batch the
    same must hold, so padding is zeroed before each convolution: data2vec stacks several with
    normalisations between them, and some HuBERT models put a batch norm in front.

    Args:
        embedding: transformers' ``pos_conv_embed``.
        hidden: ``(B, T, D)``, zero at padding.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.

    Returns:
        ``(B, T, D)``.
    """
    stacked = hasattr(embedding, "layers")
    batch_norm = getattr(embedding, "batch_norm", None)
    if valid is None or not (stacked or batch_norm is not None):
        embedded: Tensor = embedding(hidden)
        return embedded
    padding = ~valid[:, None]  # (B, 1, T)
    values = hidden.transpose(1, 2)  # (B, D, T)
    if batch_norm is None:
        for layer in embedding.layers:
            values = layer(values).masked_fill(padding, 0.0)
    else:
        values = batch_norm(values).masked_fill(padding, 0.0)
        values = embedding.activation(embedding.padding(embedding.conv(values)))
    return values.transpose(1, 2)  # (B, T, D)


def _is_narrow(embedding: nn.Module) -> bool:
    """Whether a convolution has groups so narrow that torch 2.11's bfloat16 kernel fails.

    On CPUs with AMX it then returns noise (seen up to 12 channels a group; real models have 48).
    """
    return any(
        isinstance(part, nn.Conv1d) and part.in_channels // part.groups < NARROW
        for part in embedding.modules()
    )


def _enter_conformer(
    encoder: Any, hidden: Tensor, valid: Tensor | None
) -> tuple[Tensor, dict[str, Any]]:
    hidden = encoder.dropout(hidden)
    positions = None
    if encoder.embed_positions is not None:
        # rotary tables made under inference mode cannot be trained through, so never reuse them
        encoder.embed_positions.cached_sequence_length = None
        positions = encoder.embed_positions(hidden)
    return hidden, {
        "attention_mask": _attention_mask(valid),
        "relative_position_embeddings": positions,
        "conv_attention_mask": valid,
    }


def _attention_mask(valid: Tensor | None) -> Tensor | None:
    """What ``scaled_dot_product_attention`` takes, ``(B, 1, 1, T)`` bool.

    transformers' own function asks the device whether there is any padding, which stalls it.
    """
    return None if valid is None else valid[:, None, None, :]


_OVERLAP = 5  # a fifth: 6 of Whisper's 30 s, so that every frame has at least 3 s of context


@dataclass(frozen=True, slots=True)
class Window:
    """Frames ``[start, stop)`` of an utterance, encoded at once.

    Attributes:
        owned: which of the window's own frames are kept.
    """

    start: int
    stop: int
    owned: slice


def windows(num_frames: int, *, size: int) -> list[Window]:
    """Cover ``num_frames`` with windows of ``size``; one, of any length, when they fit.

    Every window but a lone one is full. Neighbours overlap by at least a fifth, and a frame is
    kept from the window where it is farther from the edge.
    """
    if num_frames <= size:
        return [Window(0, num_frames, slice(0, num_frames))]
    step = max(1, size - size // _OVERLAP)
    starts = [*range(0, num_frames - size, step), num_frames - size]
    found: list[Window] = []
    kept = 0  # frames owned by the windows so far
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        stop = start + size
        border = num_frames if following is None else (stop + following) // 2
        found.append(Window(start, stop, slice(kept - start, border - start)))
        kept = border
    return found


def encode_in_windows(
    encode: Callable[[Tensor, Tensor, Tensor | None], list[Tensor]],
    waveforms: Tensor,
    num_samples: Tensor,
    *,
    masked: Tensor | None,
    grid: FrameGrid,
    size: int,
) -> list[Tensor]:
    """States of audio of any length, each frame from the window where it has most context.

    Args:
        encode: from a waveform ``(1, S)``, its length ``(1,)`` and its hidden frames ``(1, T)`` to
            its states, ``(1, T, D)`` for every layer.
        waveforms: ``(B, S)``, zero-padded.
        num_samples: real samples, ``(B,)``.
        masked: hidden frames, ``(B, T)`` bool, or ``None``.
        grid: of the encoder.
        size: most frames that it encodes at once.

    Returns:
        ``(B, T, D)`` for every layer, zero behind an utterance's end.
    """
    total = grid.num_frames(waveforms.shape[1])
    rows: list[list[Tensor]] = []  # of every utterance, (1, T, D) for every layer
    for row, length in enumerate(num_samples.tolist()):
        count = grid.num_frames(length)
        parts: list[list[Tensor]] = []
        for window in windows(count, size=size):
            last = length if window.stop == count else window.stop * grid.hop
            piece = waveforms[row : row + 1, window.start * grid.hop : last]
            hidden = None if masked is None else masked[row, window.start : window.stop][None]
            states = encode(piece, num_samples.new_tensor([piece.shape[1]]), hidden)
            parts.append([state[:, window.owned] for state in states])
        joined = [torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True)]
        rows.append([functional.pad(state, (0, 0, 0, total - count)) for state in joined])
    return [torch.cat(of_layer) for of_layer in zip(*rows, strict=True)]
