"""Environments of Gymnasium, and functions that name outcomes, that keep to nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from calls import NO_COMMIT, Target, call
from guard import watching
from gymnasium import spaces
from hypothesis import strategies as st
from strategies import scalars, values, words

from routed_rl.agents import naive
from routed_rl.gym.from_gym import Config
from routed_rl.registry import Named
from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.rollouts.rollout import Decision, collect
from routed_rl.training.builder import from_configs
from routed_rl.training.settings import RunSettings
from routed_rl.utils.errors import UserError
from routed_rl.worlds.spec import EnvSpec

BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
RIGHT: dict[str, Any] = {
    "space": BOX,
    "actions": spaces.Discrete(2),
    "first": np.zeros(2, np.float32),
    "first_info": {},
    "obs": np.zeros(2, np.float32),
    "reward": 1.0,
    "terminated": False,
    "truncated": False,
    "info": {"outcome": "good"},
    "frame": np.zeros((8, 8, 3), np.uint8),
    "max_steps": 5,
    "metadata": {"render_modes": ["rgb_array"]},
    "names": "bad",
    "args": {},
}
"""What an environment and a function say that keep the contract."""
SPACES = (
    *(BOX, spaces.Discrete(3), spaces.Discrete(2, start=5), spaces.MultiDiscrete([2, 3])),
    *(spaces.MultiBinary(2), spaces.Text(3), spaces.Tuple([BOX, spaces.Discrete(2)])),
    *(spaces.Dict(a=BOX), spaces.Dict(), spaces.Tuple([]), spaces.Sequence(BOX)),
    *(spaces.Box(0, 255, (3, 3, 3), np.uint8), spaces.Box(0, 255, (64, 64, 3), np.uint8)),
    *(spaces.Box(-np.inf, np.inf, (2,)), spaces.Box(0.0, 1.0, ()), spaces.Box(0.0, 1.0, (0,))),
    *(spaces.Box(0, 1, (2,), np.int64), spaces.Box(0.0, 1.0, (2, 2)), spaces.Discrete(10**6)),
    *(spaces.Dict(image=spaces.Box(0, 255, (3, 3, 3), np.uint8), mission=spaces.Text(9)),),
)
ARRAYS = (
    *(np.zeros(2), np.zeros(3), np.zeros((2, 2)), np.array(1), np.array([np.nan, 1]), np.zeros(0)),
    *(np.full(2, np.inf), np.array(["a", "b"]), np.array([None, {}], object), np.full(2, 1e308)),
    *(np.zeros(2, bool), np.zeros(2, complex), np.array([10**30], object), np.float64("nan")),
    *(np.bool_(True), np.int8(-1), np.zeros((64, 64, 3), np.uint8), np.datetime64("2001-01-01")),
)
NAMES = st.sampled_from(("good", "bad", "none", "", None, "Good", 0, 1, True, ("good",), b"good"))
_OTHERS = ("_outcome", "final_info", "final_obs", "episode", "TimeLimit", "is_success")
KEYS = st.sampled_from(("outcome", "true_reward", *_OTHERS))
odd = st.one_of(scalars, values, st.sampled_from(ARRAYS), st.sampled_from((object(), int, {1, 2})))
infos = st.dictionaries(KEYS | words, NAMES | odd, max_size=3) | odd


class Raises:
    """Stands for an exception that is raised where a value was wanted."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"raises {self.error!r}"


class Wordless(Exception):  # noqa: N818
    """One that cannot be written."""

    def __str__(self) -> str:
        raise ZeroDivisionError


ERRORS = (
    *(ValueError("x\ny"), RuntimeError(), KeyError("</script>"), MemoryError(), Warning("w")),
    *(AssertionError("not equal"), StopIteration(), OSError(5, "bad disk"), NotImplementedError()),
    *(SystemExit(3), SystemExit("bye"), Wordless(), BrokenPipeError(), UserError("mine")),
    RecursionError("deep"),
    *(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), gym.error.ResetNeeded("x")),
)
raises = st.sampled_from(ERRORS).map(Raises)
OWN = {
    "space": st.sampled_from(SPACES) | odd,
    "actions": st.sampled_from(SPACES) | odd,
    "first_info": infos,
    "info": infos,
    "names": NAMES | odd,
    "args": st.dictionaries(words, odd, max_size=1),
}
behaviours = st.lists(
    st.sampled_from(sorted(RIGHT)).flatmap(
        lambda name: st.tuples(st.just(name), OWN.get(name, odd) | raises)
    ),
    min_size=1,
    max_size=3,
)
"""What is said otherwise than it should be."""
configs = st.fixed_dictionaries(
    {},
    optional={
        "paid": st.just("ends"),
        "end_on_outcome": st.just(True),
        "show_oversight": st.just(True),
        "horizon": st.sampled_from([1, 3]),
        "frame_stack": st.just(2),
        "outcome_fn": st.just(f"{__name__}:name_outcome"),
    },
)
_said: dict[str, Any] = dict(RIGHT)


def say(name: str) -> Any:
    """Return what is said under a name, or raise it."""
    value = _said[name]
    if isinstance(value, Raises):
        raise value.error
    return value


def name_outcome(*_: Any) -> Any:
    """Name the outcome of a step."""
    return say("names")


class Odd(gym.Env[Any, Any]):
    """An environment that says what it was told to say."""

    def __init__(self, **_: Any) -> None:
        self.observation_space = say("space")
        self.action_space = say("actions")
        self.max_steps = say("max_steps")
        self.metadata = say("metadata")
        self.age = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.age = 0
        return say("first"), say("first_info")

    def step(self, action: Any) -> Any:
        self.age += 1
        ends = self.age == 2 and say("terminated") is False
        return say("obs"), say("reward"), ends or say("terminated"), say("truncated"), say("info")

    def render(self) -> Any:
        return say("frame")


gym.register("Odd-v0", Odd)
RUN = RunSettings(num_envs=2)


def _act(spec: EnvSpec) -> Callable[[torch.Tensor], Decision]:
    """Return a policy that always does the same."""
    action = torch.zeros(2, *spec.action_shape, dtype=spec.action_dtype)
    return lambda _: Decision(action, torch.zeros(2), torch.zeros(2))


def try_world(drawn: tuple[dict[str, Any], list[tuple[str, Any]]]) -> None:
    """Play in it as training does."""
    changes, behaviour = drawn
    _said.update(RIGHT | dict(behaviour))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), watching(Path()):
        try:
            setup = from_configs(Named("Odd-v0", Config(**changes)), naive.Config(), RUN)
            env = CheckedWorld(setup.make_env(2, seed=0), "odd")
            env.check(collect(env, _act(env.spec), env.reset(), 4))
            env.render()
        except UserError:
            pass


def try_training(drawn: tuple[dict[str, Any], list[tuple[str, Any]]]) -> None:
    """Train in it."""
    changes, behaviour = drawn
    _said.update(RIGHT | dict(behaviour))
    flags = [f"--env.{name.replace('_', '-')}" for name, value in changes.items() if value is True]
    flags += [
        word
        for name, value in changes.items()
        if value is not True
        for word in (f"--env.{name.replace('_', '-')}", str(value))
    ]
    tiny = ("--steps", "32", "--num-envs", "2", "--agent.rollout-steps", "4", "--agent.hidden", "4")
    few = ("--evaluations", "1", "--episodes", "2", "--run-dir", "out")
    call("train", "--env", "Odd-v0", *tiny, *few, *flags, folder="out", code=True)


drawn = st.tuples(configs, behaviours)
TARGETS = (
    Target("world", drawn, try_world, 200),
    Target("training", drawn, try_training, 3, NO_COMMIT),
)
