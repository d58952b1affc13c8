from __future__ import annotations

import torch
from helpers import world
from torch import Tensor, nn

from routed_rl.grouping import Memo, fingerprints, representatives, shuffled


def test_rows_share_a_fingerprint_exactly_if_they_are_the_same_in_every_column() -> None:
    obs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    keep = torch.tensor([[True, False], [True, False], [True, False], [False, False]])
    one, two, three, four = fingerprints(obs, keep, None).tolist()
    assert one == three
    assert len({one, two, four}) == 3
    assert len(fingerprints(obs).unique()) == 2


def test_it_agrees_with_a_comparison_of_rows_and_tells_the_smallest_difference() -> None:
    torch.manual_seed(0)
    obs = torch.randint(2, (2000, 3, 2, 2)).float()
    _, index = obs.flatten(1).unique(dim=0, return_inverse=True)
    ours = fingerprints(obs)
    assert len(torch.stack((ours, index)).unique(dim=1).T) == len(ours.unique()) == len(index.unique())
    almost = torch.tensor([[1.0], [1.0 + 2**-23]])
    assert len(fingerprints(almost).unique()) == 2


def test_representatives_stand_for_their_groups() -> None:
    groups = torch.tensor([7, 3, 7, 5, 3])
    rows, index = representatives(groups)
    assert torch.equal(groups[rows][index], groups)
    assert len(rows) == 3


def test_a_shuffle_keeps_kinds_together_and_every_row() -> None:
    groups = torch.randint(50, (500,), generator=torch.Generator().manual_seed(0))
    order = shuffled(groups, torch.Generator().manual_seed(1))
    assert order.sort().values.tolist() == list(range(500))
    assert len(groups[order].unique_consecutive()) == len(groups.unique())
    assert not torch.equal(order, shuffled(groups, torch.Generator().manual_seed(2)))


def test_fingerprints_use_all_their_bits() -> None:
    obs = world(512).reset()
    keys = fingerprints(obs)
    assert len((keys % 2**10).unique()) > 350, "the low bits differ too: 512 balls in 1,024 urns fill about 403"
    halves = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.5, 4.0], [-1.0, 2.0]])
    assert len(fingerprints(halves).unique()) == 4


def test_a_memo_computes_only_what_is_new_until_it_forgets() -> None:
    weight = nn.Parameter(torch.ones(3, 2))
    asked: list[int] = []

    def answer(x: Tensor, steer: Tensor | None) -> Tensor:
        asked.append(len(x))
        return x @ weight + (0.0 if steer is None else steer)

    memo = Memo(answer, slots=64)
    first, second = torch.eye(3), torch.cat((torch.eye(3)[1:], torch.ones(2, 3)))
    with torch.no_grad():
        assert torch.equal(memo(first, None), first @ weight)
        assert torch.equal(memo(second, None), second @ weight)
        assert torch.equal(memo(first, torch.ones(3, 2)), first @ weight + 1), "other arguments, other answers"
        assert asked == [3, 2, 3]
        weight.add_(1.0)
        memo.forget()
        assert torch.equal(memo(first, None), first @ weight), "nothing stale"
    assert asked == [3, 2, 3, 3]


def test_a_memo_is_right_when_slots_are_fought_over() -> None:
    memo = Memo(lambda x: x.square(), slots=2)
    for seed in range(5):
        x = torch.randn(20, 3, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(memo(x), x.square())
        assert torch.equal(memo(x.flip(0)), x.flip(0).square())


def test_a_memo_does_not_take_an_empty_slot_for_an_observation() -> None:
    memo = Memo(lambda x: x + 5, slots=4)
    assert (memo(torch.zeros(2, 3)) == 5).all()
    memo.forget()
    assert (memo(torch.zeros(2, 3)) == 5).all()


def test_of_rows_that_share_a_slot_the_last_is_remembered_with_two_threads_too() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for seed in range(100):
            rows = torch.randint(200, (4096, 1), generator=torch.Generator().manual_seed(seed))
            memo = Memo(lambda x: torch.arange(len(x)).float()[:, None].expand(-1, 6), slots=7)
            memo(rows)
            slot = fingerprints(rows) % 7
            last = torch.stack([(slot == k).nonzero().max() for k in range(7)])
            assert torch.equal(memo._answers, last.float()[:, None].expand(-1, 6)), seed
            assert torch.equal(memo._keys, fingerprints(rows)[last]), seed
    finally:
        torch.set_num_threads(threads)
