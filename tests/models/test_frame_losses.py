from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from slue_ner.models.frame_model import (
    claimed_probabilities,
    counted_frames,
    entity_presence,
    entity_probabilities,
    frame_losses,
    overlap_losses,
)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def binary(*frames: tuple[float, float]):
    """One utterance, one question: probability and truth of every frame."""
    logits = torch.tensor([[[logit(p)] for p, _ in frames]])
    return logits, torch.tensor([[[y] for _, y in frames]])


def test_a_binary_question_costs_the_log_probability_of_the_truth():
    losses = frame_losses(*binary((0.8, 1.0), (0.8, 0.0), (0.5, 1.0)))
    # -ln 0.8, -ln 0.2, -ln 0.5
    torch.testing.assert_close(losses, torch.tensor([[0.2231436, 1.6094379, 0.6931472]]))


def test_several_questions_cost_their_mean():
    logits = torch.tensor([[[logit(0.8), logit(0.5)]]])
    losses = frame_losses(logits, torch.tensor([[[1.0, 0.0]]]))
    assert losses.item() == pytest.approx((0.2231436 + 0.6931472) / 2)


def test_an_exclusive_class_costs_the_log_probability_of_the_class():
    logits = torch.tensor([[[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]]).log()
    losses = frame_losses(logits, torch.tensor([[0, 2]]))
    torch.testing.assert_close(losses, -torch.tensor([[0.5, 0.2]]).log())


def test_the_focal_loss_shrinks_what_is_right_already():
    losses = frame_losses(*binary((0.8, 1.0), (0.8, 0.0)), gamma=2.0)
    # (1 - 0.8) ** 2 * -ln 0.8 and (1 - 0.2) ** 2 * -ln 0.2
    torch.testing.assert_close(losses, torch.tensor([[0.04 * 0.2231436, 0.64 * 1.6094379]]))
    logits = torch.tensor([[[0.5, 0.3, 0.2]]]).log()
    losses = frame_losses(logits, torch.tensor([[1]]), gamma=1.0)
    assert losses.item() == pytest.approx(0.7 * -math.log(0.3))


def test_a_positive_weight_multiplies_the_loss_of_entities_alone():
    losses = frame_losses(*binary((0.8, 1.0), (0.8, 0.0)), positive_weight=3.0)
    torch.testing.assert_close(losses, torch.tensor([[3 * 0.2231436, 1.6094379]]))
    logits = torch.tensor([[[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]]).log()
    losses = frame_losses(logits, torch.tensor([[0, 2]]), positive_weight=3.0)
    torch.testing.assert_close(losses, -torch.tensor([[math.log(0.5), 3 * math.log(0.2)]]))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_ignored_frames_cost_nothing_and_teach_nothing(gamma):
    for labels in (torch.tensor([[1, -1]]), torch.tensor([[[1.0] * 3, [-1.0] * 3]])):
        logits = torch.randn(1, 2, 3, requires_grad=True)
        losses = frame_losses(logits, labels, gamma=gamma, positive_weight=2.0)
        assert losses[0, 1] == 0 and losses[0, 0] > 0
        losses.sum().backward()
        assert not logits.grad[0, 1].any() and logits.grad[0, 0].any()
        assert counted_frames(labels).tolist() == [[True, False]]


def test_the_overlap_of_hard_labels_is_their_iou():
    said = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]])[..., None]
    true = torch.tensor([[0.0, 1.0, 1.0, 1.0, 0.0]])[..., None]
    counted = torch.ones(1, 5, dtype=torch.bool)
    assert overlap_losses(said, true, counted).item() == pytest.approx(1 - 2 / 4)
    counted[0, 3] = False  # a frame that does not count is not in the union either
    assert overlap_losses(said, true * counted[..., None], counted).item() == pytest.approx(1 / 3)


def test_the_overlap_of_soft_labels_is_worked_out_by_hand():
    said = torch.tensor([[[0.5], [0.25]]])
    true = torch.tensor([[[1.0], [0.0]]])
    # shared 0.5; united (0.5 + 1 - 0.5) + 0.25 = 1.25
    counted = torch.ones(1, 2, dtype=torch.bool)
    assert overlap_losses(said, true, counted).item() == pytest.approx(1 - 0.5 / 1.25)


def test_a_type_that_does_not_occur_has_no_overlap_to_lose():
    said = torch.rand(2, 4, 3, requires_grad=True)
    true = torch.zeros(2, 4, 3)
    true[1, 2, 0] = 1.0
    losses = overlap_losses(said, true, torch.ones(2, 4, dtype=torch.bool))
    assert (losses > 0).tolist() == [[False] * 3, [True, False, False]]
    losses.sum().backward()
    assert not said.grad[0].any()


def test_bio_says_a_type_by_beginning_and_inside_together():
    logits = torch.tensor([[[0.1, 0.2, 0.3, 0.25, 0.15]]]).log()
    torch.testing.assert_close(
        entity_probabilities(logits, exclusive=True), torch.tensor([[[0.5, 0.4]]])
    )
    labels = torch.tensor([[0, 1, 2, 3, 4, -1]])
    assert entity_presence(labels, num_types=2)[0].T.tolist() == [
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0],
    ]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("exclusive", [True, False])
def test_gradients_are_those_of_finite_differences(monkeypatch, gamma, exclusive):
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # stay in double
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, generator=generator, dtype=torch.double, requires_grad=True)
    if exclusive:
        labels = torch.tensor([[0, 1, 2, -1], [2, 2, 0, 0]])
    else:
        labels = (torch.rand(2, 4, 3, generator=generator) > 0.5).double()
        labels[0, 3] = -1.0

    def loss(values):
        frames = frame_losses(values, labels, gamma=gamma, positive_weight=2.0).sum()
        probabilities = entity_probabilities(values, exclusive=exclusive)
        presence = entity_presence(labels, num_types=probabilities.shape[-1]).double()
        return frames + overlap_losses(probabilities, presence, counted_frames(labels)).sum()

    assert gradcheck(loss, [logits])


def test_a_frame_is_claimed_by_the_questions_alone_or_under_bio_by_the_best_type():
    logits = torch.tensor([[[logit(0.8), logit(0.5)]]])
    claims = claimed_probabilities(logits, exclusive=False)
    torch.testing.assert_close(claims, torch.tensor([[[0.8, 0.5]]]))
    tags = torch.tensor([[[0.1, 0.2, 0.1, 0.0, 0.6], [0.6, 0.2, 0.1, 0.1, 0.0]]])  # O, B I, B I
    claims = claimed_probabilities((tags + 1e-9).log(), exclusive=True)
    torch.testing.assert_close(claims, torch.tensor([[[0.0, 0.9], [0.4, 0.0]]]))
