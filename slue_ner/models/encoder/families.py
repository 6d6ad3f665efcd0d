"""Families of speech encoders: one row of facts each; a new family is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from transformers import MODEL_MAPPING, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from slue_ner.core.suggest import nearest

_TRANSFORMER = MappingProxyType(
    {
        "query": ("attention.q_proj",),
        "key": ("attention.k_proj",),
        "value": ("attention.v_proj",),
        "output": ("attention.out_proj",),
        "ffn": ("feed_forward.intermediate_dense", "feed_forward.output_dense"),
    }
)
_CONFORMER = MappingProxyType(
    {
        "query": ("self_attn.linear_q",),
        "key": ("self_attn.linear_k",),
        "value": ("self_attn.linear_v",),
        "output": ("self_attn.linear_out",),
        "ffn": (
            *("ffn1.intermediate_dense", "ffn1.output_dense"),
            *("ffn2.intermediate_dense", "ffn2.output_dense"),
        ),
    }
)
_WHISPER = MappingProxyType(
    {
        "query": ("self_attn.q_proj",),
        "key": ("self_attn.k_proj",),
        "value": ("self_attn.v_proj",),
        "output": ("self_attn.out_proj",),
        "ffn": ("fc1", "fc2"),
    }
)


@dataclass(frozen=True, slots=True)
class Family:
    """What the code must know about a family beyond its transformers config.

    Attributes:
        name: ``model_type`` in config.json.
        log_mel: whose log-mel spectrogram is the input; ``None`` for the waveform itself.
        attention: transformers' ``attn_implementation``; "own" replaces the attention modules.
        projections: logical adapter target to linear modules, as paths inside one block.
        trunk: path to the module that owns the blocks, inside the model; "" is the model itself.
        fixed: parameters of the model that no strategy trains; transformers forgets it in loading.
    """

    name: str
    log_mel: Literal["kaldi", "whisper"] | None
    attention: str
    projections: Mapping[str, tuple[str, ...]]
    trunk: str = "encoder"
    fixed: tuple[str, ...] = ()

    @property
    def blocks(self) -> str:
        """Path to the list of blocks, inside the model."""
        return f"{self.trunk}.layers" if self.trunk else "layers"


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("wav2vec2", None, "sdpa", _TRANSFORMER),
        Family("hubert", None, "sdpa", _TRANSFORMER),
        Family("wavlm", None, "own", _TRANSFORMER),
        Family("data2vec-audio", None, "sdpa", _TRANSFORMER),
        Family("wav2vec2-bert", "kaldi", "sdpa", _CONFORMER),
        Family("whisper", "whisper", "sdpa", _WHISPER, "", fixed=("embed_positions.weight",)),
    )
}
"""Every family by its ``model_type``."""


def family(name: str) -> Family:
    """The family called ``name``.

    Raises:
        ValueError: naming the known families.
    """
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ValueError(
            f"unknown encoder family {name!r}; {nearest(name, FAMILIES)} (families: {known})"
        )
    return FAMILIES[name]


def model_class(config: Any) -> Any:
    """Transformers' class of the bare encoder; of Whisper the decoder is never built."""
    return WhisperEncoder if isinstance(config, WhisperConfig) else MODEL_MAPPING[type(config)]
