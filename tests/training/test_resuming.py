from __future__ import annotations

import pytest
import torch

from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.progress import Throughput

# 16 utterances of about 1 s in batches of at most 4 padded seconds: more than one epoch in 6
# updates of two batches


def assert_same_weights(one, other) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_a_resumed_run_sees_the_same_batches_and_ends_with_the_same_weights(
    train, tmp_path, stop_after
):
    whole = train(tmp_path / "whole")
    with pytest.raises(StopRequestedError, match=f"stopped at update {stop_after}; the same"):
        train(tmp_path / "cut", stop_after=stop_after)
    rest = train(tmp_path / "cut")
    assert rest.batches == whole.batches[stop_after:]
    assert len(whole.batches) == 6
    assert_same_weights(rest.weights(), whole.weights())
    assert_same_weights(rest.weights("best"), whole.weights("best"))
    assert rest.log() == whole.log()


@pytest.mark.parametrize("stop_after", [3, 4, 6, 9])
def test_an_update_of_several_batches_is_never_cut_in_two(train, tmp_path, stop_after):
    options = ("trainer.accumulate=2", "trainer.validate_every=2", "optim.gradient_clip=0.1")
    whole = train(tmp_path / "whole", *options)
    update = (stop_after + 1) // 2
    with pytest.raises(StopRequestedError, match=f"stopped at update {update};"):
        train(tmp_path / "cut", *options, stop_after=stop_after)
    rest = train(tmp_path / "cut", *options)
    assert rest.batches == whole.batches[2 * update :]
    assert len(whole.batches) == 12
    assert_same_weights(rest.weights(), whole.weights())
    assert rest.log() == whole.log()


def test_a_run_may_be_stopped_again_and_again(train, tmp_path):
    whole = train(tmp_path / "whole")
    seen = []
    for update in range(1, 6):
        with pytest.raises(StopRequestedError, match=f"update {update};"):
            train(tmp_path / "cut", stop_after=1)
    rest = train(tmp_path / "cut")
    seen += rest.batches
    assert seen == whole.batches[5:]
    assert_same_weights(rest.weights(), whole.weights())


@pytest.mark.slow
def test_loader_processes_change_neither_the_order_nor_the_weights(train, tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(StopRequestedError, match="update 4;"):
        train(tmp_path / "cut", "data.num_workers=2", stop_after=4)
    rest = train(tmp_path / "cut", "data.num_workers=2")
    assert rest.batches == whole.batches[4:]
    assert_same_weights(rest.weights(), whole.weights())


def test_seconds_of_earlier_launches_are_counted(train, tmp_path, monkeypatch):
    with pytest.raises(StopRequestedError):
        train(tmp_path / "cut", stop_after=4)
    state = torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)
    (counted,) = (s["seconds"] for s in state["callbacks"].values() if "seconds" in s)
    assert 0 < counted < 60
    loaded = Throughput.load_state_dict

    def load_an_hour_more(self, state_dict):
        loaded(self, {**state_dict, "seconds": state_dict["seconds"] + 3600})

    monkeypatch.setattr(Throughput, "load_state_dict", load_an_hour_more)
    rest = train(tmp_path / "cut")
    assert 3600 + counted < rest.fit.figures["seconds"] < 3660 + counted
