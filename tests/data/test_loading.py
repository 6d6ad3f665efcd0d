from __future__ import annotations

from itertools import islice

import pytest

from slue_ner.core.records import read_manifest
from slue_ner.data.loading.loaders import DataOptions, evaluation_loader, training_loader


def options(**changes) -> DataOptions:
    values = {
        "root": "data",
        "train": "fine-tune",
        "tune": "tune",
        "evaluate": ["dev"],
        "batch_seconds": 4.0,
        "max_seconds": None,
        "num_workers": 0,
        "short_first": False,
    }
    return DataOptions(**{**values, **changes})


@pytest.fixture
def utterances(tiny_corpus):
    return read_manifest(tiny_corpus / "fine-tune.jsonl")


def seen(utterances, count: int, **changes) -> list[tuple[str, ...]]:
    start = changes.pop("start", 0)
    loader = training_loader(
        utterances,
        options=options(**changes),
        target=lambda u: [1],
        min_samples=400,
        seed=3,
        start=start,
    )
    return [batch.ids for batch in islice(loader, count)]


def test_loader_processes_do_not_change_the_batches(utterances):
    assert seen(utterances, 9, num_workers=2, start=4) == seen(utterances, 13)[4:]


def test_training_batches_never_end_and_hold_everything(utterances):
    ids = [id for batch in seen(utterances, 20) for id in batch]
    assert set(ids) == {utterance.id for utterance in utterances}
    assert len(ids) > 2 * len(utterances)


def test_evaluation_goes_once_over_everything_longest_first(utterances):
    batches = list(evaluation_loader(utterances, batch_seconds=4.0, min_samples=400))
    ids = [id for batch in batches for id in batch.ids]
    assert sorted(ids) == [utterance.id for utterance in utterances]
    assert ids[0] == "fine-tune_15"
    assert all(batch.waveforms.numel() <= 4.0 * 16_000 for batch in batches)


@pytest.mark.parametrize("num_ranks", [2, 3, 16])
def test_ranks_share_evaluation_and_none_goes_without(utterances, num_ranks):
    shares = [
        [id for batch in loader for id in batch.ids]
        for loader in (
            evaluation_loader(
                utterances, batch_seconds=8.0, min_samples=400, rank=rank, num_ranks=num_ranks
            )
            for rank in range(num_ranks)
        )
    ]
    assert all(shares)
    assert sorted(id for share in shares for id in share) == [u.id for u in utterances]


def test_tuning_on_the_test_set_is_refused():
    with pytest.raises(
        ValueError, match=r"data.tune=test would choose checkpoints on the test set"
    ):
        options(tune="test")
