"""Arithmetic that has the same bits alone and among others, at odd sizes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.nets.exact import power, product, sigmoid, softplus

needs_mkl = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="no MKL here: products may round by company"
)
SIZES = [(1, 1), (3, 5), (7, 18), (16, 19), (32, 1)]
TASKS = 11
KEEP = torch.tensor([0.0, 0.9, 0.999]).view(1, 1, -1)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize(
    "of",
    [
        sigmoid,
        softplus,
        lambda x: power(0.999, 1000 * x.abs().round(decimals=2)),
        lambda x: power(KEEP, 100 * x[..., :1].abs()),
    ],
    ids=["sigmoid", "softplus", "power", "powers"],
)
def test_elements_round_alike_alone_and_among_others(
    of: Callable[[Tensor], Tensor], rows: int, columns: int
) -> None:
    x = 5 * torch.randn(TASKS, rows, columns, generator=torch.Generator().manual_seed(0))
    whole = of(x)
    for task in range(TASKS):
        assert torch.equal(of(x[task : task + 1].clone()), whole[task : task + 1])


@needs_mkl
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("terms", [3, 8, 65, 1056])
@pytest.mark.parametrize("rows", [1, 7, 32])
def test_products_round_alike_alone_and_among_others(rows: int, terms: int, columns: int) -> None:
    draw = torch.Generator().manual_seed(1)
    a = torch.randn(TASKS, rows, terms, generator=draw)
    b = torch.randn(TASKS, terms, columns, generator=draw)
    whole = product(a, b)
    assert torch.allclose(whole, a @ b, rtol=1e-4, atol=1e-4)
    for task in range(TASKS):
        one = slice(task, task + 1)
        assert torch.equal(product(a[one].clone(), b[one].clone()), whole[one])


def test_they_are_what_they_are_called() -> None:
    x = torch.linspace(-90, 90, 901, dtype=torch.float64)
    assert torch.allclose(sigmoid(x), torch.sigmoid(x))
    assert torch.allclose(softplus(x), torch.nn.functional.softplus(x))
    assert torch.allclose(power(0.9, x.abs()), 0.9 ** x.abs())
    x.requires_grad_()
    (slope,) = torch.autograd.grad((softplus(x) + sigmoid(x)).sum(), x)
    expected = torch.sigmoid(x) * (2 - torch.sigmoid(x))
    assert torch.allclose(slope, expected)
