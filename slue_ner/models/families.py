"""Families of speech encoders: one row of facts each; a new family is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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


@dataclass(frozen=True, slots=True)
class Family:
    """What the code must know about a family beyond its transformers config.

    Attributes:
        name: ``model_type`` in config.json.
        reads_log_mel: the input is a log-mel spectrogram; otherwise the waveform itself.
        attention: transformers' ``attn_implementation``; "own" replaces the attention modules.
        projections: logical adapter target to linear modules, as paths inside one block.
    """

    name: str
    reads_log_mel: bool
    attention: str
    projections: Mapping[str, tuple[str, ...]]


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("wav2vec2", False, "sdpa", _TRANSFORMER),
            Family("hubert", False, "sdpa", _TRANSFORMER),
            Family("wavlm", False, "own", _TRANSFORMER),
            Family("data2vec-audio", False, "sdpa", _TRANSFORMER),
            Family("wav2vec2-bert", True, "sdpa", _CONFORMER),
        )
    }
)


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
