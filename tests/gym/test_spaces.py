"""One rule for each space: what its observations and actions become."""

from __future__ import annotations

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from minigrid import wrappers
from minigrid.core.constants import COLOR_TO_IDX

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


OUTSIDE = [
    (spaces.Discrete(3), [1, -1], "the observation -1 is outside Discrete(3)"),
    (spaces.Discrete(3), [3, 1], "the observation 3 is outside Discrete(3)"),
    (spaces.Discrete(3, start=5), [2], "the observation 2 is outside Discrete(3, start=5)"),
    (spaces.Discrete(3), [0.5], "the observation 0.5 is outside Discrete(3)"),
    (spaces.MultiDiscrete([2, 3]), [[0, 0], [2, 0]], "the observation [2 0] is outside Multi"),
    (spaces.MultiDiscrete([2, 3]), [[0, -1]], "the observation [ 0 -1] is outside MultiDiscrete"),
    (spaces.MultiDiscrete([[2], [3]]), [[[0], [3]]], "the observation [[0] [3]] is outside Multi"),
    (spaces.MultiBinary(2), [[0, 2]], "the observation [0 2] is outside MultiBinary(2)"),
]


@pytest.mark.parametrize(("space", "batch", "words"), OUTSIDE)
def test_a_number_outside_its_space_is_told(
    space: spaces.Space[Any], batch: list[Any], words: str
) -> None:
    for outer, values in (
        (space, np.array(batch)),
        (spaces.Dict({"a": space}), {"a": np.array(batch)}),
    ):
        with pytest.raises(UserError, match=re.escape(words)) as raised:
            observations(outer).encode(values)
        assert "\n" not in str(raised.value)


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


def minigrid(*layers: Any) -> gym.Env[Any, Any]:
    """Make an empty room of 5x5 cells inside wrappers."""
    env: Any = gym.make("MiniGrid-Empty-5x5-v0", disable_env_checker=True)
    for layer in layers:
        env = layer(env)
    return env


def first(env: gym.Env[Any, Any]) -> Any:
    """Return a batch of one, the first observation."""
    space = env.observation_space
    return concatenate(space, [env.reset(seed=0)[0]], create_empty_array(space, 1))


def shown(env: gym.Env[Any, Any]) -> np.ndarray:
    """Return what the first observation of an environment becomes."""
    return observations(env.observation_space, env).encode(first(env))[0]


def lit(codes: Any) -> list[int]:
    """Return the places of MiniGrid's codes (N, 3), 21 to a cell."""
    return [
        21 * cell + place for cell, (a, b, c) in enumerate(codes) for place in (a, 11 + b, 17 + c)
    ]


@pytest.mark.parametrize("full", [False, True])
def test_minigrids_codes_are_ones_also_without_the_dict(full: bool) -> None:
    layers = [wrappers.FullyObsWrapper] if full else []
    alone = minigrid(*layers, wrappers.ImgObsWrapper)
    codes = first(alone)[0].reshape(-1, 3).tolist()
    assert np.flatnonzero(shown(alone)).tolist() == lit(codes)
    if full:
        assert codes[6] == [10, 0, 0], "a red agent, as it looks to the right"
    inside = minigrid(*layers)
    assert shown(inside).tolist() == [1, 0, 0, 0, *shown(alone), *shown(inside)[-64:]]
    assert observations(inside.observation_space, inside).notes == ()


def test_a_stack_of_minigrids_codes_is_ones_for_each() -> None:
    def stacked(env: Any) -> Any:
        return gym.wrappers.FrameStackObservation(env, 2, padding_type="zero")

    env = minigrid(wrappers.ImgObsWrapper, stacked)
    codes = first(env)[0].reshape(-1, 3).tolist()
    assert codes[:49] == [[0, 0, 0]] * 49
    assert np.flatnonzero(shown(env)).tolist() == lit(codes)


def test_symbols_are_numbers_and_no_codes() -> None:
    row = shown(minigrid(wrappers.SymbolicObsWrapper))[4:-64].reshape(5, 5, 3)
    assert row[1, 1].tolist() == pytest.approx([0.1, 0.1, 1]), "x, y and the agent, of 10"
    assert row[2, 1].tolist() == pytest.approx([0.2, 0.1, -0.1]), "nothing is there"


@pytest.mark.parametrize("cls", [wrappers.RGBImgPartialObsWrapper, wrappers.RGBImgObsWrapper])
def test_pixels_of_minigrid_are_no_codes_however_small(cls: Any) -> None:
    def pixels(env: Any) -> Any:
        return cls(env, tile_size=4)

    env = minigrid(pixels, wrappers.ImgObsWrapper)
    assert np.array_equal(shown(env), (first(env).astype(np.float32) / 255).ravel())
    inside = minigrid(pixels)
    assert np.array_equal(shown(inside)[4:-64], shown(env))
    large = minigrid(wrappers.RGBImgPartialObsWrapper, wrappers.ImgObsWrapper)
    assert observations(large.observation_space, large).shape == (3, 56, 56)


def test_a_code_that_minigrid_has_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    env = minigrid(wrappers.ImgObsWrapper)
    batch = first(env)
    batch[0, 2, 3, 1] = 6
    words = "an image of ImgObsWrapper holds the colour 6, and MiniGrid has 6: let"
    with pytest.raises(UserError, match=words):
        observations(env.observation_space, env).encode(batch)
    bare = minigrid()
    words = r"an image of the space Box\(0, 255, \(7, 7, 3\), uint8\) holds the colour 6"
    with pytest.raises(UserError, match=words):
        observations(bare.observation_space, bare).encode(first(bare) | {"image": batch})
    monkeypatch.setitem(COLOR_TO_IDX, "pink", 6)
    row = observations(env.observation_space, env).encode(batch)[0]
    assert row.shape == (49 * 22,)
    assert row.reshape(7, 7, 22)[2, 3, 11:18].tolist() == [0, 0, 0, 0, 0, 0, 1]


class Lookalike(gym.Env[Any, Any]):
    """Has a mission and a small image, and is none of MiniGrid's."""

    image = spaces.Box(0, 255, (2, 1, 3), np.uint8)
    observation_space = spaces.Dict({"image": image, "mission": spaces.Text(9)})


def test_what_only_looks_like_minigrid_is_bytes_and_doubt_is_said() -> None:
    env = Lookalike()
    batch = {"image": np.full((1, 2, 1, 3), 5, np.uint8), "mission": ("",)}
    bytes_ = [pytest.approx(5 / 255)] * 6
    known = observations(env.observation_space, env)
    assert known.encode(batch)[0, :6].tolist() == bytes_
    assert known.notes == ()
    assert observations(env.image, env).encode(batch["image"])[0].tolist() == bytes_
    unknown = observations(env.observation_space)
    assert unknown.shape == (2 * 21 + 64,)
    assert [note.partition(":")[0] for note in unknown.notes] == [
        "the image beside a mission is taken for MiniGrid's codes"
    ]
    assert observations(env.image).shape == (6,), "nothing speaks for codes"


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_stack_of_pictures_becomes_channels(channels_first: bool) -> None:
    stack = np.zeros((1, 4, 40, 50, 3), np.uint8)
    stack[0, 2, 7, 8, 1] = 51
    if channels_first:
        stack = stack.transpose(0, 1, 4, 2, 3)
    encoder = observations(spaces.Box(0, 255, stack.shape[1:], np.uint8))
    assert encoder.shape == (12, 40, 50)
    assert encoder.notes == ()
    rows = encoder.encode(stack)
    assert rows[0, 2 * 3 + 1, 7, 8] == rows.sum() == pytest.approx(0.2)
    assert encoder.encode(stack[:0]).shape == (0, 12, 40, 50)


def test_a_picture_that_is_flattened_is_said() -> None:
    picture = spaces.Box(0, 255, (40, 50, 3), np.uint8)
    for parts in ({"eye": picture, "a": spaces.Discrete(2)}, (spaces.Discrete(2), picture)):
        space = spaces.Dict(parts) if isinstance(parts, dict) else spaces.Tuple(parts)
        key = "'eye'" if isinstance(parts, dict) else "1"
        encoder = observations(space)
        assert encoder.shape == (2 + 40 * 50 * 3,)
        assert encoder.notes == (
            f"the picture {key} is flattened, without convolutions, "
            "since it is not the only entry: "
            f"gymnasium.wrappers.FilterObservation(env, [{key}]) leaves it alone.",
        )
        inner = observations(spaces.Dict({"b": space, "c": spaces.Discrete(2)}))
        assert inner.notes == encoder.notes
    floats = spaces.Box(0, 1, (40, 50, 3))
    grey = spaces.Box(0, 255, (40, 50), np.uint8)
    for space in (floats, grey):
        (note,) = observations(space).notes
        assert note.startswith(f"observations {space.shape} of {space.dtype} are flattened")
    for space in (spaces.Box(0, 1, (40, 50)), spaces.Box(0, 255, (35, 50, 3), np.uint8)):
        assert observations(space).notes == ()


def test_a_picture_alone_in_a_dict_is_a_picture() -> None:
    picture = spaces.Box(0, 255, (40, 50, 3), np.uint8)
    encoder = observations(spaces.Dict({"eye": picture}))
    assert encoder.shape == (3, 40, 50)
    seen = np.full((1, 40, 50, 3), 51, np.uint8)
    assert np.array_equal(encoder.encode({"eye": seen}), observations(picture).encode(seen))


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


@pytest.mark.parametrize(
    ("space", "sizes", "chosen", "expected"),
    [
        (spaces.MultiDiscrete([2, 3]), (2, 3), [[0, 2]], [[0, 2]]),
        (spaces.MultiDiscrete([2, 3], start=[5, -1]), (2, 3), [[0, 2]], [[5, 1]]),
        (spaces.MultiDiscrete([[2], [4]]), (2, 4), [[1, 3]], [[[1], [3]]]),
        (spaces.MultiBinary(3), (2, 2, 2), [[0, 1, 1]], [[0, 1, 1]]),
        (spaces.MultiBinary((2, 1)), (2, 2), [[0, 1]], [[[0], [1]]]),
    ],
)
def test_several_whole_numbers_are_counted_each(
    space: spaces.Space[Any], sizes: tuple[int, ...], chosen: Any, expected: Any
) -> None:
    found = actions(space)
    assert (found.num_actions, found.continuous, found.sizes) == (len(sizes), False, sizes)
    decoded = found.decode(np.array(chosen))
    assert decoded.tolist() == expected
    assert space.contains(decoded[0])


def test_spaces_without_a_rule_are_told() -> None:
    with pytest.raises(UserError, match="no rule for observations of Sequence"):
        observations(spaces.Sequence(spaces.Discrete(2)))
    with pytest.raises(UserError, match="no rule for actions of Tuple"):
        actions(spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2))))
