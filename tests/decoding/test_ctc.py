from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.decoding.ctc import BLANK_ID, greedy, min_frames

SYMBOLS = ["<blank>", "<unk>", "|", "a", "b", "c"]


def emissions_of(paths: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Emissions whose best path is given; the rest of each frame's mass is spread evenly."""
    length = max(map(len, paths))
    probabilities = torch.full((len(paths), length, len(SYMBOLS)), 0.04)
    for row, path in enumerate(paths):
        for frame, symbol in enumerate(path):
            probabilities[row, frame, symbol] = 0.8
    return probabilities.log(), torch.tensor([len(path) for path in paths])


def test_repeats_are_merged_blanks_dropped_and_frames_kept():
    log_probs, num_frames = emissions_of([[0, 3, 3, 0, 3, 4, 2, 0]])
    (tokens,) = greedy(log_probs, num_frames, SYMBOLS)
    assert [(t.symbol, t.first, t.last) for t in tokens] == [
        ("a", 1, 3),
        ("a", 4, 5),
        ("b", 5, 6),
        ("|", 6, 7),
    ]


def test_a_tokens_score_is_its_mean_probability():
    log_probs = torch.tensor([[[0.1, 0.0, 0.0, 0.9, 0.0, 0.0], [0.3, 0.0, 0.0, 0.7, 0.0, 0.0]]])
    ((token,),) = greedy(log_probs.clamp_min(1e-9).log(), torch.tensor([2]), SYMBOLS)
    assert token.score == pytest.approx(0.8)  # (0.9 + 0.7) / 2


def test_frames_past_an_utterances_end_are_not_read():
    log_probs, _ = emissions_of([[3, 4, 5], [3, 4, 5]])
    short, long = greedy(log_probs, torch.tensor([1, 3]), SYMBOLS)
    assert [token.symbol for token in short] == ["a"]
    assert [token.symbol for token in long] == ["a", "b", "c"]


def test_all_blank_and_no_frames_at_all_give_no_tokens():
    log_probs, _ = emissions_of([[0, 0], [0, 0]])
    assert greedy(log_probs, torch.tensor([2, 0]), SYMBOLS) == [(), ()]


def test_emissions_of_another_model_are_refused():
    with pytest.raises(ValueError, match="emissions have 6 symbols but the vocabulary has 5"):
        greedy(torch.zeros(1, 2, 6), torch.tensor([2]), SYMBOLS[:5])


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=30), min_size=1, max_size=4))
def test_greedy_agrees_with_the_definition_of_collapse(paths):
    log_probs, num_frames = emissions_of(paths)
    for path, tokens in zip(paths, greedy(log_probs, num_frames, SYMBOLS), strict=True):
        collapsed = [s for i, s in enumerate(path) if i == 0 or s != path[i - 1]]
        assert [SYMBOLS.index(t.symbol) for t in tokens] == [s for s in collapsed if s != BLANK_ID]
        assert all(set(path[t.first : t.last]) == {SYMBOLS.index(t.symbol)} for t in tokens)


def feasible_by_search(target: list[int], num_frames: int) -> bool:
    """Whether any path of ``num_frames`` over {blank, symbols} collapses to ``target``."""
    states = {(0, None)}  # symbols written, last symbol of the path
    for _ in range(num_frames):
        following = set()
        for written, last in states:
            following.add((written, 0))
            if last not in (None, 0):
                following.add((written, last))
            if written < len(target) and target[written] != last:
                following.add((written + 1, target[written]))
        states = following
    return any(written == len(target) for written, _ in states)


@given(st.lists(st.integers(1, 3), max_size=6), st.integers(0, 12))
def test_the_feasibility_rule_agrees_with_an_exhaustive_search(target, num_frames):
    assert (min_frames(target) <= num_frames) == feasible_by_search(target, num_frames)


def test_torch_calls_the_same_targets_infeasible():
    target = [3, 3, 4]  # 3 symbols and one repeat: 4 frames
    for num_frames in (3, 4):
        loss = torch.nn.functional.ctc_loss(
            torch.zeros(num_frames, 1, 6).log_softmax(-1),
            torch.tensor([target]),
            torch.tensor([num_frames]),
            torch.tensor([3]),
            reduction="none",
        )
        assert bool(loss.isfinite()) == (min_frames(target) <= num_frames)
