"""Windows over long audio, and what an encoder of few positions makes of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.models.adaptation.strategies import FrozenWeightedSum
from slue_ner.models.encoder.speech_encoder import windows

HOP = 320
SIZE = 60  # positions of the tiny Whisper: 1.2 s
ALL = [0, 1, 2, 3]
POSITIONS = "model.embed_positions.weight"


@given(st.integers(1, 5_000), st.integers(1, 1_500))
def test_windows_keep_every_frame_once_in_order(num_frames, size):
    found = windows(num_frames, size=size)
    kept = [window.start + i for window in found for i in range(size)[window.owned]]
    assert kept == list(range(num_frames))
    assert all(0 <= w.start < w.stop <= num_frames for w in found)
    assert [w.start for w in found] == sorted({w.start for w in found})


@given(st.integers(1, 5_000), st.integers(1, 1_500))
def test_windows_are_full_unless_one_holds_everything(num_frames, size):
    found = windows(num_frames, size=size)
    assert (len(found) == 1) == (num_frames <= size)
    if len(found) > 1:
        assert {w.stop - w.start for w in found} == {size}


@given(st.integers(1, 5_000), st.integers(1, 1_500))
def test_a_kept_frame_has_a_tenth_of_a_window_on_either_side_or_the_end_of_the_audio(
    num_frames, size
):
    for window in windows(num_frames, size=size):
        assert window.start == 0 or window.owned.start >= size // 10
        last = window.stop - window.start - window.owned.stop
        assert window.stop == num_frames or last >= size // 10


@given(st.integers(1, 5_000), st.integers(10, 1_500))
def test_there_are_few_windows(num_frames, size):
    # each but the first adds at least 4/5 of its size
    assert len(windows(num_frames, size=size)) <= 1 + max(
        0, -(-(num_frames - size) // (size * 4 // 5))
    )


def test_thirty_seconds_overlap_by_six():
    first, second, third = windows(3_800, size=1_500)
    assert (first.start, first.stop, first.owned) == (0, 1_500, slice(0, 1_350))
    assert (second.start, second.stop, second.owned) == (1_200, 2_700, slice(150, 1_300))
    # the last one ends with the audio: 2,500 = 1,200 + 1,300 is midway between 2,300 and 2,700
    assert (third.start, third.stop, third.owned) == (2_300, 3_800, slice(200, 1_500))


@torch.no_grad()
@pytest.mark.parametrize("spare", [0, 1, HOP - 1])
def test_audio_within_one_window_is_encoded_as_it_is(tiny_encoder, noise, spare):
    encoder = tiny_encoder("whisper")
    patient = tiny_encoder("whisper", overrides={"max_source_positions": 2 * SIZE})
    weights = {k: v for k, v in encoder.state_dict().items() if "embed_positions" not in k}
    assert patient.load_state_dict(weights, strict=False).missing_keys == [POSITIONS]
    batch = noise(SIZE * HOP + spare)
    found = encoder(*batch, layers=ALL).layers
    assert found.shape == (4, 1, SIZE, 32)
    torch.testing.assert_close(found, patient(*batch, layers=ALL).layers, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("spare", [0, HOP - 1])
def test_longer_audio_is_joined_from_what_its_windows_say(tiny_encoder, noise, spare):
    encoder = tiny_encoder("whisper")
    waveforms, num_samples = noise(100 * HOP + spare)
    found = encoder(waveforms, num_samples, layers=ALL).layers
    # windows [0, 60) and [40, 100): the border is midway between 40 and 60
    parts = [waveforms[:, : 60 * HOP], waveforms[:, 40 * HOP :]]
    first, second = (
        encoder(part, torch.tensor([part.shape[1]]), layers=ALL).layers for part in parts
    )
    expected = torch.cat([first[:, :, :50], second[:, :, 10:]], dim=2)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    last = encoder(waveforms, num_samples)
    assert last.num_frames.tolist() == [100]
    torch.testing.assert_close(last.values, encoder.final_norm(expected[3]), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("pad_to", [None, 0.4, 1.2])
def test_batch_mates_of_long_audio_change_nothing(tiny_encoder, noise, pad_to):
    encoder = tiny_encoder("whisper", pad_to=pad_to)

    @settings(max_examples=4)
    @given(st.lists(st.integers(HOP, 4 * SIZE * HOP), min_size=2, max_size=3), st.integers(0, 999))
    def check(lengths: list[int], padding: int) -> None:
        waveforms, num_samples = noise(*lengths)
        wider = torch.nn.functional.pad(waveforms, (0, padding))
        together = encoder(wider, num_samples, layers=[1, 3])
        assert together.num_frames.tolist() == [length // HOP for length in lengths]
        assert together.values.shape[1] == wider.shape[1] // HOP
        for row, length in enumerate(lengths):
            one = waveforms[row : row + 1, :length], num_samples[row : row + 1]
            alone = encoder(*one, layers=[1, 3]).layers
            inside = together.layers[:, row : row + 1, : length // HOP]
            torch.testing.assert_close(inside, alone, atol=2e-5, rtol=1e-4)

    check()


@torch.no_grad()
def test_frames_hidden_in_long_audio_are_those_asked_for(tiny_encoder, noise, monkeypatch):
    encoder = tiny_encoder("whisper")
    waveforms, num_samples = noise(100 * HOP, 30 * HOP)
    masked = torch.zeros(2, 100, dtype=torch.bool)
    masked[0, [3, 45, 97]] = masked[1, 7] = True
    heard = []
    monkeypatch.setattr(
        "slue_ner.models.encoder.speech_encoder.convolve_mel",
        lambda model, features, valid: (
            heard.append((features == 0).all(-1)) or features[..., : encoder.hidden_size]
        ),
    )
    encoder(waveforms, num_samples, masked=masked)
    where = [(row.nonzero()[:, 1].tolist(), row.shape[1]) for row in heard]
    assert where == [([3, 45], 60), ([45 - 40, 97 - 40], 60), ([7], 30)]


def test_a_frame_hidden_in_one_window_changes_its_own_part_alone(tiny_encoder, noise):
    encoder = tiny_encoder("whisper")
    batch = noise(100 * HOP)
    masked = torch.zeros(1, 100, dtype=torch.bool)
    masked[0, 20] = True  # in the first window only
    plain, hidden = encoder(*batch).values, encoder(*batch, masked=masked).values
    assert torch.equal(plain[:, 50:], hidden[:, 50:])
    assert not torch.allclose(plain[:, :50], hidden[:, :50])


def test_training_on_longer_audio_is_refused_in_one_sentence(tiny_encoder, noise):
    encoder = tiny_encoder("whisper").train()
    with pytest.raises(ValueError) as caught:
        encoder(*noise(8_000, 61 * HOP))
    assert str(caught.value) == (
        "whisper hears 1.2 s at once, but utterance 1 of the batch has 1.22 s; leave longer ones "
        "out of training with data.max_seconds"
    )
    assert encoder(*noise(8_000, 61 * HOP - 1)).num_frames.tolist() == [25, 60]


def test_a_frozen_encoder_hears_long_audio_in_training_too(tiny_encoder, noise):
    encoder = tiny_encoder("whisper")
    FrozenWeightedSum().apply(encoder)
    batch = noise(100 * HOP, 9_000)
    expected = encoder(*batch, layers=ALL).layers
    found = encoder.train()(*batch, layers=ALL).layers
    assert torch.equal(found, expected) and not found.requires_grad


@pytest.mark.parametrize("positions", ["relative", "relative_key", "rotary", None])
def test_w2v_bert_goes_on_beyond_the_positions_of_its_config(tiny_encoder, noise, positions):
    # its table of positions grows, or distances are clipped; the stock model has no limit
    overrides = {"max_source_positions": 10, "position_embeddings_type": positions}
    encoder = tiny_encoder("wav2vec2-bert", overrides=overrides)
    assert encoder.max_frames is None
    batch = noise(9_000)
    stock = encoder.model(encoder.filter_bank(*batch)).last_hidden_state
    found = encoder(*batch).values
    torch.testing.assert_close(found, stock, atol=5e-6, rtol=1e-5)
    assert found.shape[1] == 27
    encoder.train()(*batch)
