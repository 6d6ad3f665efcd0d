from __future__ import annotations

import pytest
import torch

from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import MixingKind, MixingOptions, build_mixing


@pytest.fixture
def model(tiny_encoder):
    """``model("wav2vec2", kind="layer")`` with seven symbols."""

    def build(name: str, *, kind: str = "last") -> CTCModel:
        encoder = tiny_encoder(name)
        mixing = build_mixing(MixingOptions(kind=MixingKind(kind)), num_layers=encoder.num_layers)
        head = CTCHead(encoder.hidden_size, vocabulary_size=7)
        return CTCModel(encoder, mixing, head).eval()

    return build


@pytest.mark.parametrize("kind", ["last", "layer", "weighted_sum"])
def test_emissions_are_log_probabilities_of_every_frame(family_style, model, noise, kind):
    built = model(family_style, kind=kind)
    waveforms, num_samples = noise(7000, 4000)
    emissions = built(waveforms, num_samples)
    assert emissions.num_frames.tolist() == [
        built.grid.num_frames(7000),
        built.grid.num_frames(4000),
    ]
    assert emissions.log_probs.shape == (2, built.grid.num_frames(7000), 7)
    torch.testing.assert_close(
        emissions.log_probs.exp().sum(dim=-1), torch.ones(emissions.log_probs.shape[:2])
    )


def test_an_utterance_is_emitted_the_same_alone_and_in_a_batch(family_style, model, noise):
    built = model(family_style)
    waveforms, num_samples = noise(7000, 4000)
    together = built(waveforms, num_samples)
    alone = built(waveforms[1:, :4000], num_samples[1:])
    length = int(alone.num_frames)
    torch.testing.assert_close(
        together.log_probs[1, :length], alone.log_probs[0, :length], rtol=0, atol=1e-5
    )
