"""Copies that are stepped together, and their own limits."""

from __future__ import annotations

import os
from typing import Any

import counters
import gymnasium
import numpy as np
import pytest
from counters import Counter, Counters
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec as Registered
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from routed_rl.gym.config import Config
from routed_rl.gym.names import find
from routed_rl.gym.spaces import observations
from routed_rl.gym.vectors import HORIZON, copy_of, let_draw, limit_of, say_once, vectorise
from routed_rl.utils.errors import UserError


def registered(name: str, made: Any, **more: Any) -> Registered:
    return Registered(name, made, **more)


def vector(name: str, **settings: Any) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    found = find(name)
    assert found is not None
    return vectorise(found, Config(**settings), 3, HORIZON)


def limit(name: str, **settings: Any) -> int:
    found = find(name)
    assert found is not None
    return limit_of(found, Config(**settings))


class Limited(Counter):
    """Has a limit of its own: one until it is reset, and others from then on in turn."""

    def __init__(self, limits: list[Any]) -> None:
        super().__init__()
        self.limits = limits
        self.max_steps = limits[0]

    def reset(self, **_: Any) -> Any:
        self.limits = [*self.limits[1:], self.limits[0]]
        self.max_steps = self.limits[0]
        return super().reset()


class Methodical(Counter):
    """Has a method where others have a limit."""

    def max_steps(self) -> int:
        return 5


class Modeless(Counter):
    """Says that it can be drawn, and takes no render_mode."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()


class Bare(gymnasium.Env[Any, Any]):
    """The same, without any __init__."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = Counter.observation_space
    action_space = Counter.action_space


class Sightless(Modeless):
    """Says None of how it can be drawn."""

    metadata = {"render_modes": None}  # noqa: RUF012


class Drawn(Modeless):
    """Takes a render_mode, through the dots of its __init__."""

    def __init__(self, **dots: Any) -> None:
        super().__init__()
        self.render_mode = dots.get("render_mode")


def test_ones_own_vector_is_used_where_it_tells_the_last_frame() -> None:
    own = vector("Counters-v0")
    assert isinstance(own.unwrapped, Counters)
    assert own.num_envs == 3
    one_by_one = vector("Counter-v0")
    assert type(one_by_one) is SyncVectorEnv
    assert one_by_one.metadata["autoreset_mode"] is AutoresetMode.DISABLED


def test_an_episode_has_the_limit_that_somebody_gives_it() -> None:
    assert limit("Counter-v0") == 5
    assert limit("FrozenLake-v1") == 100
    assert limit("MiniGrid-Empty-5x5-v0") == 4 * 5**2, "MiniGrid's stands in an attribute"
    assert limit("Counters-v0") == HORIZON
    assert limit("MiniGrid-DoorKey-16x16-v0") == 10 * 16**2, "however many they are"
    assert limit("Counter-v0", horizon=3) == 3


def test_a_level_may_have_no_limit_until_it_is_reset(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit("BabyAI-GoToObjS4-v0") == 4**2
    assert limit("BabyAI-GoToSeqS5R2-v0") == 4 * 100, "the instruction decides: 1 to 4 walks"
    changing = registered("Changing-v0", Limited, kwargs={"limits": [0, 7, 9.0, np.int64(8)] * 10})
    assert limit_of(changing, Config()) == HORIZON, "0 comes again"
    late = registered("Late-v0", Limited, kwargs={"limits": [0, *[7, 9.0, np.int64(8)] * 10]})
    assert limit_of(late, Config()) == 9
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("value", "words"), [(None, "None"), (-1, "-1"), (0, "0"), (True, "True")])
def test_what_is_no_limit_is_said_in_one_line(
    value: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say_once.cache_clear()
    endless = registered("Endless-v0", Limited, kwargs={"limits": [value]})
    assert [limit_of(endless, Config()) for _ in range(2)] == [1000, 1000]
    assert capsys.readouterr().err == (
        f"Endless-v0 has no step limit (max_steps is {words}): its episodes are cut off "
        "after 1,000 steps, or after --env.horizon.\n"
    )


def test_a_method_is_no_limit_nor_is_one_of_minus_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit_of(registered("Methodical-v0", Methodical), Config()) == HORIZON
    assert "Methodical-v0 has no step limit (max_steps is a method)" in capsys.readouterr().err
    assert limit_of(registered("Counter-v1", Counter, max_episode_steps=-1), Config()) == HORIZON
    assert capsys.readouterr().err == ""


def test_the_limit_is_where_a_copy_is_truncated() -> None:
    envs = vectorise(registered("Bandit-v0", counters.Bandit), Config(), 1, 3)
    envs.reset(seed=0)
    assert [bool(envs.step([0])[3][0]) for _ in range(3)] == [False, False, True]


@pytest.mark.filterwarnings("ignore:.*doesn't include `render_modes`")  # Gymnasium's own
@pytest.mark.parametrize("made", [Modeless, Bare, Sightless])
def test_one_that_takes_no_render_mode_is_made_and_not_drawn(made: type) -> None:
    envs = vectorise(registered("Modeless-v0", made), Config(), 2, HORIZON)
    assert type(envs) is SyncVectorEnv
    assert [type(env.unwrapped) for env in envs.envs] == [made, made]
    assert envs.render_mode is None


@pytest.mark.filterwarnings("ignore:.*doesn't include `render_modes`")  # Gymnasium's own
def test_one_is_drawn_when_it_is_asked_for() -> None:
    made: Any = vectorise(registered("Drawn-v0", Drawn), Config(), 2, 9)
    assert made.render_mode is None, "what may be drawn is kept, and costs time"
    assert let_draw(made, "rgb_array")
    assert {copy.unwrapped.render_mode for copy in made.envs} == {"rgb_array"}
    assert not let_draw(
        vectorise(registered("Sightless-v0", Sightless), Config(), 1, 9), "rgb_array"
    )
    asked = Config(kwargs=("render_mode=rgb_array",))
    with pytest.raises(UserError, match=r"cannot make Modeless-v0 .*'render_mode'"):
        vectorise(registered("Modeless-v0", Modeless), asked, 1, 9)


@pytest.mark.parametrize(("screen", "driver"), [(None, "dummy"), (":0", None)])
def test_without_a_screen_pygame_does_not_look_for_one(
    monkeypatch: pytest.MonkeyPatch, screen: str | None, driver: str | None
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if screen is not None:
        monkeypatch.setenv("DISPLAY", screen)
    assert let_draw(vectorise(registered("Drawn-v0", Drawn), Config(), 1, 9), "rgb_array")
    assert os.environ.get("SDL_VIDEODRIVER") == driver
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        (
            "FrozenLake-v1",
            {"kwargs": ("slip=1",)},
            r"cannot make FrozenLake-v1 .*'slip'.*--env\.kwargs",
        ),
        ("FrozenLake-v1", {"outcome_fn": "math:nothing"}, "no function 'math:nothing'"),
        ("FrozenLake-v1", {"outcome_fn": "nothing"}, "no function 'nothing': write module:"),
        ("Counters-v0", {"outcome_fn": "math:sqrt"}, "stepped as a whole"),
        ("Counters-v0", {"frame_stack": 2}, "as a whole: let it stack frames itself, without --"),
        ("LateCounters-v0", {}, "resets a step late"),
    ],
)
def test_what_cannot_be_made_is_told(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        vector(name, **settings)


def test_a_function_gets_what_the_step_gave() -> None:
    envs = vector("Counter-v0", outcome_fn=f"{counters.__file__}:late_or_second")
    envs.reset(seed=0)
    named = [envs.step(envs.action_space.sample())[4]["outcome"].tolist() for _ in range(3)]
    assert named == [[None] * 3, ["early"] * 3, ["late"] * 3]


def test_a_stack_holds_the_last_frames_and_begins_with_the_first_one_alone() -> None:
    envs = vector("Counter-v0", frame_stack=3)
    shown = [envs.reset(seed=0)[0], *(envs.step(np.zeros(3, int))[0] for _ in range(3))]
    assert [obs[1].flatten().tolist() for obs in shown] == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 2],
        [1, 2, 3],
    ]
    again, _ = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert again[:, :, 0].tolist() == [[0, 0, 0], [1, 2, 3], [1, 2, 3]]


def test_frames_are_stacked_after_their_outcome_was_named() -> None:
    named = {"outcome_fn": f"{counters.__file__}:late_or_second", "frame_stack": 2}
    envs = vector("Counter-v0", **named)
    envs.reset(seed=0)
    assert [envs.step(np.zeros(3, int))[4]["outcome"][0] for _ in range(2)] == [None, "early"]


class Whole(Counters):
    """Says before it is made that it tells last frames."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012


def test_one_with_vectors_of_its_own_is_made_one_by_one_to_be_stacked() -> None:
    both = registered("Both-v0", Counter, vector_entry_point=Whole)
    assert isinstance(vectorise(both, Config(), 2, HORIZON).unwrapped, Counters)
    stacked = vectorise(both, Config(frame_stack=2), 2, HORIZON)
    assert stacked.single_observation_space.shape == (2, 1)


class Film(Counter):
    """Shows pictures in bytes."""

    observation_space = spaces.Box(0, 255, (40, 50, 3), np.uint8)


@pytest.mark.parametrize(
    ("made", "shape"),
    [("CartPole-v1", (2 * 4,)), ("FrozenLake-v1", (2 * 16,)), (Film, (2 * 3, 40, 50))],
)
def test_stacks_are_encoded_as_their_frames_are(made: Any, shape: tuple[int, ...]) -> None:
    found = find(made) if isinstance(made, str) else registered("Film-v0", made)
    assert found is not None
    envs = vectorise(found, Config(frame_stack=2), 3, HORIZON)
    assert observations(envs.single_observation_space, copy_of(envs)).shape == shape


def test_minigrids_codes_and_missions_are_stacked() -> None:
    envs = vector("MiniGrid-Fetch-5x5-N2-v0", frame_stack=2)
    encoder = observations(envs.single_observation_space, copy_of(envs))
    assert encoder.notes == ()
    assert encoder.shape == (2 * 4 + 2 * 7 * 7 * 21 + 2 * 64,)
    single = vector("MiniGrid-Fetch-5x5-N2-v0")
    plain = observations(single.single_observation_space, copy_of(single))
    frames = []
    for steps in (envs, single):
        frames += [steps.reset(seed=0)[0], steps.step(np.zeros(3, int))[0]]
    stack = encoder.encode(frames[1])
    first, second = (plain.encode(frame) for frame in frames[2:])
    parts = np.split(stack, np.cumsum([4, 4, 1029, 1029, 64]), axis=1)
    assert np.array_equal(np.concatenate(parts[::2], axis=1), first)
    assert np.array_equal(np.concatenate(parts[1::2], axis=1), second)


class Riddle(spaces.Space[Any]):
    """A space that Gymnasium does not know."""

    def sample(self, *_: Any, **__: Any) -> int:
        return 1


class Riddler(Counter):
    observation_space = Riddle()  # type: ignore[assignment]


def test_frames_that_cannot_be_stacked_are_told() -> None:
    riddler = registered("Riddler-v0", Riddler)
    with pytest.raises(
        UserError, match=r"frames of .*Riddle.* cannot be stacked: leave --env"
    ) as told:
        vectorise(riddler, Config(frame_stack=2), 1, HORIZON)
    assert "\n" not in str(told.value)
