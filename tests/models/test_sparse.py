from __future__ import annotations

import pytest
import torch
from helpers import world
from torch import Tensor

from routed_rl.models.sparse import Sparse, compact, product, stable_order


def boards() -> Tensor:
    obs = world(32, oversight=0.5).reset().double()
    obs[3] = 0.0  # an empty row
    obs[:, 0, 0, 0] = 0.0  # an empty column
    obs[5, 1, 2, 2] = -2.5  # not only ones
    return obs


def both_ways(obs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Compute a product and its gradient by the sparse product and by the plain one."""
    answers = []
    for x in (compact(obs), obs.flatten(1)):
        generator = torch.Generator().manual_seed(0)
        table = torch.randn(100, 7, dtype=torch.float64, generator=generator).requires_grad_()
        y = product(x, table) if isinstance(x, Sparse) else x @ table
        answers.append([y, *torch.autograd.grad((y + 1).square().sum(), table)])
    return answers[0], answers[1]


def test_a_sparse_product_and_its_gradient_are_those_of_the_plain_one() -> None:
    assert isinstance(compact(boards()), Sparse)
    for ours, plain in zip(*both_ways(boards()), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 32])
def test_a_matrix_of_zeros_gives_zeros(rows: int) -> None:
    zeros = torch.zeros(rows, 4, 5, 5, dtype=torch.float64)
    for ours, plain in zip(*both_ways(zeros), strict=True):
        assert torch.equal(ours, plain)


def test_what_is_not_mostly_zeros_stays_as_it_is() -> None:
    dense = torch.ones(3, 4, 5, 5)
    kept = compact(dense)
    assert isinstance(kept, Tensor)
    assert torch.equal(kept, dense.flatten(1))
    none = torch.zeros(0, 4, 5, 5)
    assert compact(none) is none


def test_gradients_are_prepared_only_where_they_are_needed() -> None:
    with torch.no_grad():
        seen = compact(boards())
    assert isinstance(seen, Sparse) and seen.columns is None


@pytest.mark.parametrize("count", [300, 2**16, 2**16 + 1], ids=["few", "16-bits", "more"])
def test_numbers_are_ordered_and_equal_ones_stay_in_their_order(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(count - 300, count, (500,), generator=generator).numpy()
    order = stable_order(numbers, count)
    assert order.tolist() == sorted(range(500), key=numbers.tolist().__getitem__)
