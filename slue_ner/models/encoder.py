"""One speech encoder over every family: waveforms in, frames out, padding without influence.

Hidden states follow one convention, that of stock transformers 5: ``states[0]`` is the input of
the first block and ``states[i]`` the raw output of block ``i``. "last" is the model's
``last_hidden_state``: for Whisper and for large-style models (``do_stable_layer_norm``) that is the
last block's output after the encoder's final LayerNorm, for all others the last block's output.
Stock Whisper alone hands "last" out as its highest hidden state too; here it stays raw.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.models.audio_windows import encode_in_windows
from slue_ner.models.convolutions import convolution_grid, convolve, normalize_waveforms
from slue_ner.models.families import Family
from slue_ner.models.filterbank import FilterBank
from slue_ner.models.frames import Frames, valid_positions
from slue_ner.models.lengths import check_at_once, check_lengths, frames_of
from slue_ner.models.masking import SpecAugment
from slue_ner.models.mixing import Layers, check_layers
from slue_ner.models.stem import convolve_mel, enter_blocks
from slue_ner.models.whisper_mel import WhisperMel


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
        hidden, context = enter_blocks(self.model, hidden, valid)
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
