"""What masks become, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from routed_rl.routing.masks import as_mask, broadcast, chosen, for_units, weighed

CPU = torch.device("cpu")
YES_NO = torch.tensor([True, False])


def test_a_number_keeps_all_its_digits_and_a_tensor_stays_as_it_is() -> None:
    for mask in (0.3, [0.3], np.array([0.3])):
        tensor = as_mask(mask)
        assert tensor.dtype == torch.float64
        assert tensor.sum().item() == 0.3
    single = torch.tensor([0.3])
    assert as_mask(single) is single
    assert as_mask([True, False]).dtype == torch.bool


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.tensor([1, 0]), "int64"),
        ([1, 0], "int64"),
        ("yes", "cannot be str"),
        ([[True], [True, False]], "cannot be list"),
        (torch.ones(2, requires_grad=True), "mask.detach"),
    ],
)
def test_what_is_no_mask_is_told(mask: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_mask(mask)


@pytest.mark.parametrize(
    ("shape", "x", "axis", "expected"),
    [
        ((), (2, 3), 0, (1, 1)),
        ((2,), (2, 3, 4), 0, (2, 1, 1)),
        ((2, 3), (2, 3, 4), 0, (2, 3, 1)),
        ((2, 3, 4), (2, 3, 4), 0, (2, 3, 4)),
        ((2, 1, 4), (2, 3, 4), 0, (2, 1, 4)),
        ((3,), (2, 3, 4), 1, (1, 3, 1)),
        ((4,), (2, 3, 4), 2, (1, 1, 4)),
        ((2,), (2, 2, 4), 1, (1, 2, 1)),
        ((2, 3), (2, 3, 4), 1, (2, 3, 1)),
        ((1,), (5,), 0, (1,)),
        ((3,), (3,), 1, (3,)),
    ],
)
def test_masks_get_the_axes_of_what_they_are_for(
    shape: tuple[int, ...], x: tuple[int, ...], axis: int, expected: tuple[int, ...]
) -> None:
    mask = torch.arange(float(torch.Size(shape).numel())).view(shape)
    found = broadcast(mask, torch.zeros(x, dtype=torch.float64), axis)
    assert found.shape == expected
    assert found.dtype == torch.float64
    assert found.flatten().tolist() == mask.flatten().tolist()
    assert broadcast(mask.bool(), torch.zeros(x), axis).dtype == torch.bool


@pytest.mark.parametrize(
    ("shape", "x", "axis", "words"),
    [
        ((3,), (2, 3), 0, "leading axes"),
        ((2,), (2, 3), 1, "axis 1"),
        ((2, 2), (2, 3), 0, "leading axes"),
        ((3, 1), (2, 3), 0, "leading axes"),
        ((2, 3, 1), (2, 3), 0, "leading axes"),
        ((1, 1), (2, 3, 4), 0, "leading axes"),
    ],
)
def test_masks_that_fit_nothing_are_told(
    shape: tuple[int, ...], x: tuple[int, ...], axis: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        broadcast(torch.ones(shape), torch.ones(x), axis)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None), [0, 1, 2, 3]),
        (slice(-1, None), [3]),
        (slice(-4, 4), [0, 1, 2, 3]),
        (slice(None, -4 + 1), [0]),
        ([0, -1], [0, 3]),
        (2, [2]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        (torch.tensor([1, 1], dtype=torch.int32), [1]),
        (torch.tensor([0, 1], dtype=torch.uint8), [0, 1]),
    ],
)
def test_places_are_chosen_as_in_python(which: Any, expected: list[int]) -> None:
    places = chosen(which, 4, CPU)
    assert places.dtype == torch.bool
    assert places.nonzero().flatten().tolist() == expected


@pytest.mark.parametrize(
    "which",
    [
        slice(5, None),
        slice(-5, None),
        slice(0, 5),
        slice(0, -5),
        slice(2, 2),
        4,
        [0, 4],
        [],
        torch.zeros(4, dtype=torch.bool),
        torch.ones(5, dtype=torch.bool),
    ],
)
def test_places_that_there_are_not_are_told(which: Any) -> None:
    with pytest.raises(IndexError):
        chosen(which, 4, CPU)


@pytest.mark.parametrize(("axis", "place"), [(1, 1), (-1, 2), (0, 0), (-3, 0), (2, 2)])
def test_a_mask_for_units_lets_all_others_learn(axis: int, place: int) -> None:
    x = torch.zeros(2, 3, 4)
    expected = torch.ones(2, 3, 4)
    expected.select(place, 1)[0] = 0.25
    if place == 0:  # the unit is a sample, and the mask says 0.25 of the first alone
        expected = torch.ones(2, 3, 4)
    mask = torch.tensor([0.25, 1.0]).view(2, 1, 1)
    assert torch.equal(for_units(mask, [1], x, axis).expand(2, 3, 4), expected)
    strict = for_units((mask == 1), [1], x, axis)
    assert strict.dtype == torch.bool
    assert torch.equal(strict.expand(2, 3, 4), expected == 1)


@pytest.mark.parametrize(
    ("units", "axis", "words"),
    [([3], 1, "axis 1 has 3"), ([0], 3, "no axis 3"), ([0], -4, "no axis -4")],
)
def test_units_that_there_are_not_are_told(units: list[int], axis: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        for_units(YES_NO.view(2, 1, 1), units, torch.zeros(2, 3, 4), axis)


def test_what_is_weighed_is_exactly_zero_where_a_bool_is_false() -> None:
    x = torch.tensor([float("inf"), float("nan"), 3.0], dtype=torch.float64)
    found = weighed(x, torch.tensor([True, False, False]))
    assert found.tolist() == [float("inf"), 0, 0]
    assert found.dtype == torch.float64
    assert weighed(torch.tensor([2.0, 3.0]), torch.tensor([-0.5, 0.0])).tolist() == [-1, 0]
