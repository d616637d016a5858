"""The posterior over tasks: its filter, sums and densities against loops and figures by hand."""

import math

import numpy as np
import pytest
import torch

from agent.continual.posterior import (
    HEARSAY,
    fading,
    filtered,
    input_log_density,
    levelled,
    mixed,
    telling,
)
from agent.learners.base import Classes, Numbers


def test_mixed_classes_and_numbers_against_sums_by_hand() -> None:
    draw = torch.Generator().manual_seed(3)
    weight = torch.rand(1, 2, 3, generator=draw).log_softmax(2)
    logp = torch.randn(3, 2, 1, 4, generator=draw).log_softmax(3)
    told = mixed(Classes(torch.zeros(3, 2, 1), logp), weight)
    by_hand = torch.einsum("bh,hbc->bc", weight[0].exp(), logp[:, :, 0].exp())
    assert isinstance(told, Classes)
    torch.testing.assert_close(told.marginal()[0].exp(), by_hand)

    mean, scale = torch.randn(3, 2, 1, generator=draw), torch.rand(3, 2, 1, generator=draw) + 0.1
    number = mixed(Numbers(torch.zeros(3, 2, 1), mean, scale), weight)
    assert isinstance(number, Numbers)
    first = (weight[0].exp().T * mean[:, :, 0]).sum(0)
    second = (weight[0].exp().T * (mean**2 + scale**2)[:, :, 0]).sum(0)
    torch.testing.assert_close(number.moments()[0][0], first)
    torch.testing.assert_close(number.moments()[1][0], (second - first**2).sqrt())


@pytest.mark.parametrize(("rows", "strength"), [(6, 1.0), (300, 8.0)])
def test_the_filter_against_a_loop_over_rows(rows: int, strength: float) -> None:
    draw = np.random.default_rng(4)
    evidence = strength * draw.normal(size=(2, rows, 3))
    seen = draw.random((2, rows)) < 0.6
    weight = draw.dirichlet(np.ones(3), size=2)
    arrive = 0.1 * draw.dirichlet(np.ones(3), size=2)
    before, after, end = filtered(weight, evidence, seen, arrive)
    for task in range(2):
        now = weight[task]
        for row in range(rows):
            ahead = 0.9 * now + arrive[task]
            np.testing.assert_allclose(before[task, row], ahead)
            if seen[task, row]:
                now = ahead * np.exp(evidence[task, row])
                now = now / now.sum()
            np.testing.assert_allclose(after[task, row], now)
        np.testing.assert_allclose(end[task], now)


@pytest.mark.parametrize("share", [0.6, 2.0])
def test_fading_sums_against_a_loop_over_rows(share: float) -> None:
    draw = np.random.default_rng(5)
    gain, now = draw.normal(size=(1, 7, 2)), draw.normal(size=(1, 2))
    seen = draw.random((1, 7)) < share
    sums = fading(gain, seen, now, 0.8)
    for row in range(7):
        np.testing.assert_allclose(sums[:, row], now + gain[:, row])
        if seen[0, row]:
            now = 0.8 * (now + gain[:, row])
    np.testing.assert_allclose(sums[:, 7], now)


def test_a_hypothesis_that_always_says_one_class_gains_nothing_by_a_run_of_it() -> None:
    always = np.log(np.tile([0.98, 0.02], (1, 1, 4, 1)))
    even = np.log(np.tile([0.5, 0.5], (1, 1, 4, 1)))
    both = np.concatenate([always, even], 1)
    level = levelled(both, both, np.ones((1, 4), np.bool_), np.full((1, 2), 1e6))
    np.testing.assert_allclose(level, math.log(0.5), atol=0.05)


def test_levelled_answers_against_the_rule_of_bayes() -> None:
    draw = np.random.default_rng(6)
    here, there = draw.dirichlet(np.ones(3), (1, 2, 5)), draw.dirichlet(np.ones(3), (1, 2, 4))
    known, common = np.array([[True, True, False, True]]), np.array([[9.0, 4.0, 1.0]])
    share = (common[0] + 1) / (common[0] + 1).sum()
    level = levelled(np.log(here), np.log(there), known, common)
    for place in range(2):
        said = there[0, place, known[0]].sum(0) + HEARSAY * share
        by_hand = here[0, place] * share / said
        by_hand /= by_hand.sum(1, keepdims=True)
        np.testing.assert_allclose(np.exp(level[0, place]), by_hand)


def test_a_label_in_a_run_tells_less_and_a_new_class_nothing() -> None:
    late = np.array([[[0.5, 0.5, 0.0], [0.99, 0.01, 0.0], [0.5, 0.5, 0.0]]])
    much = telling(np.array([[0, 0, 2]]), late, np.array([[1e4, 1e4, 0.0]]))[0]
    assert much[0] > 0.95
    assert much[1] < 0.03
    assert much[2] == 0


def test_density_of_inputs_against_normals_by_hand() -> None:
    draw = np.random.default_rng(7)
    x, mean, mass = draw.normal(size=(1, 5, 4)), draw.normal(size=(1, 2, 4)), 50.0
    spread = draw.random((1, 2, 4)) + 0.1
    sums = np.stack([mean, mean**2 + spread], 2) * mass
    dense = input_log_density(x, sums, np.full((1, 2, 1), mass))
    variance = spread + 0.05 + 1 / (1 + mass)
    each = (x[:, :, None] - mean[:, None]) ** 2 / variance[:, None] + np.log(variance[:, None])
    np.testing.assert_allclose(dense, -0.5 * each.sum(3) / 2.0)
