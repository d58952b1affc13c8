"""One rule for each space: what its observations and actions become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from routed_rl.gym.spaces import actions, observations
from routed_rl.utils.errors import UserError


def encoded(space: spaces.Space[Any], batch: Any) -> list[Any]:
    encoder = observations(space)
    rows = encoder.encode(batch)
    assert rows.dtype == np.float32
    assert rows.shape[1:] == encoder.shape
    low, high = encoder.span
    assert low <= rows.min()
    assert rows.max() <= high
    return rows.tolist()


def test_numbers_become_ones_in_their_places() -> None:
    assert encoded(spaces.Discrete(3, start=5), np.array([5, 7])) == [[1, 0, 0], [0, 0, 1]]
    two = np.array([[1, 0], [0, 2]])
    assert encoded(spaces.MultiDiscrete([2, 3]), two) == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    later = spaces.MultiDiscrete([2, 2], start=[1, 3])
    assert encoded(later, np.array([[2, 3]])) == [[0, 1, 1, 0]]
    binary = np.array([[[0, 1], [1, 1]]], np.int8)
    assert encoded(spaces.MultiBinary((2, 2)), binary) == [[0, 1, 1, 1]]


def test_boxes_become_their_numbers_and_integers_a_share_of_the_largest() -> None:
    assert encoded(spaces.Box(-9, 9, (2, 1)), np.array([[[7], [-0.5]]])) == [[7, -0.5]]
    assert encoded(spaces.Box(-4, 2, (2,), np.int32), np.array([[2, -4]])) == [[0.5, -1]]
    bytes_ = spaces.Box(0, 255, (2, 2, 3), np.uint8)
    assert encoded(bytes_, np.full((1, 2, 2, 3), 51)) == [[pytest.approx(0.2)] * 12]


@pytest.mark.parametrize("channels_first", [False, True])
def test_pictures_have_their_channels_first(channels_first: bool) -> None:
    picture = np.zeros((1, 40, 50, 3), np.uint8)
    picture[0, 7, 8, 2] = 255
    if channels_first:
        picture = picture.transpose(0, 3, 1, 2)
    encoder = observations(spaces.Box(0, 255, picture.shape[1:], np.uint8))
    assert encoder.shape == (3, 40, 50)
    assert encoder.image
    shown = encoder.encode(picture)
    assert shown[0, 2, 7, 8] == shown.sum() == 1


def test_a_picture_that_is_too_small_is_a_row() -> None:
    encoder = observations(spaces.Box(0, 255, (35, 50, 3), np.uint8))
    assert encoder.shape == (35 * 50 * 3,)
    assert not encoder.image


def test_a_dict_is_a_row_in_the_order_of_its_keys() -> None:
    inner = spaces.Tuple([spaces.Box(0, 1, (2,)), spaces.Discrete(2)])
    space = spaces.Dict({"b": spaces.Discrete(2), "a": inner})
    batch = {"b": np.array([1]), "a": (np.array([[0.5, 0.25]]), np.array([0]))}
    assert encoded(space, batch) == [[0.5, 0.25, 1, 0, 0, 1]]


def test_words_light_numbers_whatever_their_order() -> None:
    texts = ("get the Red ball", "red ball get the", "get the blue ball")
    red, same, blue = encoded(spaces.Text(100), texts)
    assert red == same != blue
    assert sum(red) == 4


def test_minigrids_codes_become_ones_in_their_places() -> None:
    space = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (1, 1, 3), np.uint8),
            "direction": spaces.Discrete(4),
            "mission": spaces.Text(10),
        }
    )
    batch = {
        "image": np.array([[[[8, 1, 0]]]], np.uint8),
        "direction": np.array([3]),
        "mission": ("",),
    }
    row = np.flatnonzero(encoded(space, batch)[0]).tolist()
    assert row == [3, 4 + 8, 4 + 11 + 1, 4 + 11 + 6 + 0], "direction, image, mission"


def test_bounds_of_continuous_actions_are_one() -> None:
    low = np.array([-2.0, 0.0, -np.inf])
    high = np.array([2.0, 10.0, np.inf])
    space = actions(spaces.Box(low, high, dtype=np.float64))
    assert (space.num_actions, space.continuous) == (3, True)
    chosen = np.array([[0.5, -1.0, 7.0], [-3.0, 9.0, -7.0]])
    assert space.decode(chosen).tolist() == [[1, 0, 7], [-2, 10, -7]]
    assert actions(spaces.Box(-1, 1, (2, 2))).decode(np.zeros((3, 4))).shape == (3, 2, 2)


def test_numbered_actions_begin_where_the_space_does() -> None:
    space = actions(spaces.Discrete(3, start=-1))
    assert (space.num_actions, space.continuous) == (3, False)
    assert space.decode(np.array([0, 2])).tolist() == [-1, 1]


def test_spaces_without_a_rule_are_told() -> None:
    with pytest.raises(UserError, match="no rule for observations of Sequence"):
        observations(spaces.Sequence(spaces.Discrete(2)))
    with pytest.raises(UserError, match="no rule for actions of MultiBinary"):
        actions(spaces.MultiBinary(2))
