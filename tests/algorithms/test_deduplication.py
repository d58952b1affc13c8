from __future__ import annotations

import torch
from helpers import world
from torch import Tensor, nn

from routed_rl.algorithms.deduplication import (
    AnswerCache,
    extended_hashes,
    row_hashes,
    shuffled_groups,
    unique_rows,
)


def test_rows_share_a_hash_exactly_if_they_are_the_same_in_every_column() -> None:
    obs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    grad_mask = torch.tensor([[True, False], [True, False], [True, False], [False, False]])
    hashes = row_hashes(obs)
    assert len(hashes.unique()) == 2
    one, two, three, four = extended_hashes(hashes, 2, grad_mask, None).tolist()
    assert one == three
    assert len({one, two, four}) == 3


def test_it_agrees_with_a_comparison_of_rows_and_tells_the_smallest_difference() -> None:
    torch.manual_seed(0)
    obs = torch.randint(2, (2000, 3, 2, 2)).float()
    _, index = obs.flatten(1).unique(dim=0, return_inverse=True)
    ours = row_hashes(obs)
    pairs = torch.stack((ours, index)).unique(dim=1)
    assert len(pairs.T) == len(ours.unique()) == len(index.unique())
    almost = torch.tensor([[1.0], [1.0 + 2**-23]])
    assert len(row_hashes(almost).unique()) == 2


def test_unique_rows_stand_for_their_groups() -> None:
    groups = torch.tensor([7, 3, 7, 5, 3])
    rows, index = unique_rows(groups)
    assert torch.equal(groups[rows][index], groups)
    assert len(rows) == 3


def test_a_shuffle_keeps_groups_together_and_every_row() -> None:
    groups = torch.randint(50, (500,), generator=torch.Generator().manual_seed(0))
    order = shuffled_groups(groups, 50, torch.Generator().manual_seed(1))
    assert order.sort().values.tolist() == list(range(500))
    assert len(groups[order].unique_consecutive()) == len(groups.unique())
    other = shuffled_groups(groups, 50, torch.Generator().manual_seed(2))
    assert not torch.equal(order, other)


def test_hashes_use_all_their_bits() -> None:
    hashes = row_hashes(world(512).reset())
    assert len((hashes % 2**10).unique()) > 350, (
        "the low bits differ too: 512 balls in 1,024 urns fill about 403"
    )
    halves = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.5, 4.0], [-1.0, 2.0]])
    assert len(row_hashes(halves).unique()) == 4


def test_a_cache_computes_only_what_is_new_until_it_forgets() -> None:
    weight = nn.Parameter(torch.ones(3, 2))
    asked: list[int] = []

    def answer(x: Tensor, shift: Tensor | None) -> Tensor:
        asked.append(len(x))
        return x @ weight + (0.0 if shift is None else shift)

    cache = AnswerCache(answer, slots=64)

    def ask(x: Tensor, shift: Tensor | None = None) -> Tensor:
        return cache(extended_hashes(row_hashes(x), 3, shift), x, shift)

    first = torch.eye(3)
    second = torch.cat((torch.eye(3)[1:], torch.ones(2, 3)))
    with torch.no_grad():
        assert torch.equal(ask(first), first @ weight)
        assert torch.equal(ask(second), second @ weight)
        shifted = ask(first, torch.ones(3, 2))
        assert torch.equal(shifted, first @ weight + 1), "other columns, other answers"
        assert asked == [3, 2, 3]
        weight.add_(1.0)
        cache.forget()
        assert torch.equal(ask(first), first @ weight), "nothing stale"
    assert asked == [3, 2, 3, 3]


def test_a_cache_is_right_when_rows_compete_for_slots() -> None:
    cache = AnswerCache(lambda x: x.square(), slots=2)
    for seed in range(5):
        x = torch.randn(20, 3, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(cache(row_hashes(x), x), x.square())
        assert torch.equal(cache(row_hashes(x.flip(0)), x.flip(0)), x.flip(0).square())


def test_a_cache_does_not_take_an_empty_slot_for_an_observation() -> None:
    cache = AnswerCache(lambda x: x + 5, slots=4)
    zeros = torch.zeros(2, 3)
    for _ in range(2):
        assert (cache(row_hashes(zeros), zeros) == 5).all()
        cache.forget()


def test_of_rows_that_share_a_slot_the_last_is_remembered_with_two_threads_too() -> None:
    asked: list[int] = []

    def number(x: Tensor) -> Tensor:
        """Answer with the number of each row."""
        asked.append(len(x))
        return torch.arange(len(x)).float()[:, None].expand(-1, 6)

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for seed in range(100):
            rows = torch.randint(200, (4096, 1), generator=torch.Generator().manual_seed(seed))
            hashes = row_hashes(rows)
            last = torch.stack([(hashes % 7 == slot).nonzero().max() for slot in range(7)])
            cache = AnswerCache(number, slots=7)
            cache(hashes, rows)
            remembered = cache(hashes[last], rows[last])
            assert torch.equal(remembered, last.float()[:, None].expand(-1, 6)), seed
            assert asked.pop() == 0, seed
    finally:
        torch.set_num_threads(threads)
