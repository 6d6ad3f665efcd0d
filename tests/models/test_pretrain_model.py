from __future__ import annotations

import pytest
import torch

from slue_ner.models.pretrain_model import PretrainModel


@pytest.fixture
def pretrainer(tiny_encoder):
    """``pretrainer("wavlm")``: a tiny encoder that can hide frames, with both heads."""

    def build(style: str, *, num_clusters=7, num_units=5, **options) -> PretrainModel:
        encoder = tiny_encoder(style, mask_time_prob=0.5, **options)
        torch.manual_seed(1)
        return PretrainModel(encoder, num_clusters=num_clusters, num_units=num_units).eval()

    return build


def frames_of(model, num_samples: int) -> int:
    return model.grid.num_frames(num_samples)


def test_every_frame_gets_a_guess_of_its_cluster_and_of_its_unit(pretrainer, noise):
    model = pretrainer("wav2vec2-bert")
    guesses = model(*noise(8_000, 5_000))
    num_frames = frames_of(model, 8_000)
    assert guesses.clusters.shape == (2, num_frames, 7)
    assert guesses.emissions.log_probs.shape == (2, num_frames, 5)
    assert guesses.num_frames.tolist() == [num_frames, frames_of(model, 5_000)]


def test_an_objective_that_is_not_asked_for_has_no_head(pretrainer, noise):
    batch = noise(8_000)
    masked = pretrainer("wav2vec2-bert", num_units=None)
    assert masked(*batch).emissions is None and masked.head is None
    supervised = pretrainer("wav2vec2-bert", num_clusters=None)
    assert supervised(*batch).clusters is None and supervised.cluster_head is None


def test_with_all_frames_hidden_the_model_knows_nothing_of_the_audio(
    pretrainer, noise, family_style
):
    model = pretrainer(family_style)
    hidden = torch.ones(2, frames_of(model, 8_000), dtype=torch.bool)
    one = model(*noise(8_000, 5_000, seed=0), hidden)
    other = model(*noise(8_000, 5_000, seed=1), hidden)
    assert torch.equal(one.clusters, other.clusters)
    assert torch.equal(one.emissions.log_probs, other.emissions.log_probs)
    seen = model(*noise(8_000, 5_000, seed=1))
    assert not torch.allclose(seen.clusters, other.clusters, atol=1e-3)


@pytest.mark.parametrize("style", ["wav2vec2-large", "hubert-large", "wavlm-large"])
def test_audio_under_hidden_frames_alone_cannot_be_heard_anywhere(pretrainer, noise, style):
    # convolutions see no further than their window, so frames outside the stretch stay the same
    model = pretrainer(style, normalize_waveform=False)
    waveforms, num_samples = noise(8_000)
    grid = model.grid
    hidden = torch.zeros(1, grid.num_frames(8_000), dtype=torch.bool)
    hidden[0, 20:60] = True
    # frame 19 ends before start, frame 60 starts at end
    start, end = 19 * grid.hop + grid.window, 60 * grid.hop
    changed = waveforms.clone()
    changed[0, start:end] = torch.rand(end - start) - 0.5
    one, other = (model(w, num_samples, hidden) for w in (waveforms, changed))
    assert torch.equal(one.clusters, other.clusters)
    seen, differently = (model(w, num_samples) for w in (waveforms, changed))
    assert not torch.allclose(seen.clusters, differently.clusters, atol=1e-3)


def test_only_the_frames_asked_for_are_hidden(pretrainer, noise, family_style):
    model = pretrainer(family_style).train()
    hidden = torch.rand(2, frames_of(model, 8_000)) < 0.5
    entered = []
    model.encoder.spec_augment.register_forward_hook(
        lambda module, inputs, output: entered.append((inputs[0], output))
    )
    model(*noise(8_000, 5_000), hidden)
    ((before, after),) = entered
    size = before.shape[-1]
    embedding = getattr(model.encoder.model, "masked_spec_embed", torch.zeros(size))  # Whisper: 0
    assert torch.equal(after[hidden], embedding.expand(int(hidden.sum()), -1))
    assert torch.equal(after[~hidden], before[~hidden])


def test_frames_are_hidden_in_eval_mode_only_when_asked_for(pretrainer, noise):
    model = pretrainer("wav2vec2-bert")
    batch = noise(8_000)
    nothing = torch.zeros(1, frames_of(model, 8_000), dtype=torch.bool)
    assert torch.equal(model(*batch).clusters, model(*batch, nothing).clusters)
    assert not torch.equal(model(*batch).clusters, model(*batch, ~nothing).clusters)


def test_what_an_utterance_guesses_does_not_depend_on_its_batch_mates(pretrainer, noise, style):
    model = pretrainer(style)
    waveforms, num_samples = noise(8_000, 5_000)
    hidden = torch.zeros(2, frames_of(model, 8_000), dtype=torch.bool)
    hidden[:, 3:9] = True
    together = model(waveforms, num_samples, hidden)
    num_frames = frames_of(model, 5_000)
    alone = model(waveforms[1:, :5_000], num_samples[1:], hidden[1:, :num_frames])
    torch.testing.assert_close(
        together.clusters[1, :num_frames], alone.clusters[0], rtol=1e-4, atol=1e-5
    )
