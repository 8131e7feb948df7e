"""DietNeRF's consistency loss, against a slow reference, and its pull on a rendered view."""

import math

import torch
from torch import Tensor

from reconstruct.diet import HW, WEIGHT, ConsistencyScore, semantic_consistency


def slow_consistency(embedding: list[float], rendered: list[list[float]]) -> float:
    """1 − cosine, a number at a time, averaged over the views."""
    total = 0.0
    for row in rendered:
        dot = sum(a * b for a, b in zip(embedding, row, strict=True))
        lengths = math.sqrt(sum(a * a for a in embedding)) * math.sqrt(sum(b * b for b in row))
        total += 1.0 - dot / lengths
    return total / len(rendered)


def unit(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn / drawn.norm(dim=-1, keepdim=True)


def test_the_loss_is_that_of_the_slow_loop() -> None:
    for seed in range(5):
        embedding, rendered = unit(9, seed=seed), unit(4, 9, seed=seed + 100)
        found = float(semantic_consistency(embedding, rendered))
        assert math.isclose(found, slow_consistency(embedding.tolist(), rendered.tolist()), rel_tol=1e-12)


def test_equal_is_nothing_and_opposite_is_two() -> None:
    embedding = unit(9, seed=1)
    assert float(semantic_consistency(embedding, embedding[None])) == 0.0
    assert math.isclose(float(semantic_consistency(embedding, -embedding[None])), 2.0, rel_tol=1e-12)


def mean_colour(images: Tensor) -> Tensor:
    """An embedding by hand: the mean colour, of length 1."""
    means = images.mean(dim=(2, 3))
    return means / means.norm(dim=1, keepdim=True)


def test_descending_it_turns_a_view_towards_the_input() -> None:
    red = torch.zeros(3, 8, 8) + torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    score = ConsistencyScore(mean_colour, red, hw=(4, 4))
    images = torch.full((2, 3, 4, 4), 0.5, requires_grad=True)
    loss = score.loss(images, [0, 1], 0.0, torch.Generator())
    expected = WEIGHT * slow_consistency([0.9, 0.1, 0.1], [[0.5, 0.5, 0.5]])
    assert math.isclose(float(loss.detach()), expected, rel_tol=1e-5)
    loss.backward()
    assert images.grad is not None
    assert (images.grad[:, 0] < 0).all()
    assert (images.grad[:, 1:] > 0).all()
    assert ConsistencyScore(mean_colour, red).hw == HW
