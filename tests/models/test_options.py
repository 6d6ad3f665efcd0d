from __future__ import annotations

import dataclasses

import pytest
from omegaconf import OmegaConf

from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.mixing import MixingKind, MixingOptions


@pytest.mark.parametrize("options", [EncoderOptions, MixingOptions, *STRATEGIES.values()])
def test_options_survive_a_round_trip_through_a_typed_config(options):
    required = {"layer": 3} if options is STRATEGIES["frozen_layer"] else {}
    node = OmegaConf.merge(OmegaConf.structured(options), required)
    assert OmegaConf.to_object(node) == options(**required)
    assert not options.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(options))


def test_the_kind_of_mixing_is_written_by_its_name():
    node = OmegaConf.merge(OmegaConf.structured(MixingOptions), {"kind": "weighted_sum"})
    assert OmegaConf.to_object(node) == MixingOptions(kind=MixingKind.weighted_sum)


def test_overrides_take_any_config_value():
    values = {"conv_dim": [8, 8], "hidden_size": 16, "position_embeddings_type": None}
    node = OmegaConf.merge(OmegaConf.structured(EncoderOptions), {"overrides": values})
    assert OmegaConf.to_object(node) == EncoderOptions(overrides=values)
