"""The contract of worlds: over every file in envs/, one dropped in elsewhere, and broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import CPU, ROOT
from torch import Tensor

from routed_rl import check_env
from routed_rl.checks.env_checker import POINTS
from routed_rl.checks.result import CheckResult
from routed_rl.envs import gridworld
from routed_rl.envs.gridworld import Config, Gridworld
from routed_rl.registry import Registry
from routed_rl.worlds.vec_env import Step, VecEnv

SMALL = Config(rows=3, columns=3, horizon=8)


def failed(results: Sequence[CheckResult]) -> dict[str, str]:
    return {result.name: result.fault for result in results if not result.passed}


def module_of(make: Callable[..., VecEnv]) -> Any:
    """Make what is like a file of envs/."""
    return SimpleNamespace(Config=Config, make=make, __name__="broken")


@pytest.mark.parametrize("name", Registry().names("envs"))
def test_every_environment_keeps_it(name: str) -> None:
    results = check_env(Registry().load("envs", name))
    assert failed(results) == {}
    assert [result.name for result in results] == list(POINTS)


def test_so_does_the_template_dropped_into_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "dropped.py"
    path.write_text((ROOT / "envs" / "_template.py").read_text())
    assert failed(check_env(Registry([str(path)]).load("envs", "dropped"))) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"spurious_oversight": 0.3},
        {"oversight_reach": 2},
        {"label_budget": 40},
        {"false_positive": 0.5, "false_negative": 0.5},
        {"outcomes": ("gem", "ghost", "bat"), "walls": ((1, 1),)},
    ],
)
def test_every_kind_of_gridworld_keeps_it(settings: dict[str, Any]) -> None:
    assert failed(check_env(gridworld, Config(rows=3, columns=3, **settings))) == {}


class Broken(Gridworld):
    """A gridworld with a fault: `spoil` changes each step."""

    def __init__(self, *args: Any, spoil: Callable[[Broken, Step], Any], **kwargs: Any) -> None:
        self.spoil = spoil
        self.buffer = torch.zeros(0)
        super().__init__(*args, **kwargs)

    def step(self, actions: Tensor) -> Step:
        return self.spoil(self, super().step(actions))


def broken(spoil: Callable[[Broken, Step], Any]) -> Any:
    def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Broken:
        return Broken(config, num_envs, seed=seed, device=device, spoil=spoil)

    return module_of(make)


def nan_reward(_: Broken, step: Step) -> Step:
    return step._replace(reward=torch.where(step.terminated, torch.nan, step.reward))


def nan_truth(_: Broken, step: Step) -> Step:
    return step._replace(true_reward=torch.where(step.terminated, torch.nan, step.true_reward))


def written_over(env: Broken, step: Step) -> Step:
    if not len(env.buffer):
        env.buffer = torch.empty_like(step.reward)
    return step._replace(reward=env.buffer.copy_(step.reward))


def good_among_others(env: Broken, step: Step) -> Step:
    if env.num_envs == 1:
        return step
    good = step.terminated
    said = step.overseen.long()
    return step._replace(outcome=good.long(), true_reward=good.float(), reported=said)


def another_generator(_: Broken, step: Step) -> Step:
    unseen = step.overseen & (torch.rand(step.overseen.shape) < 0.5)
    reported = torch.where(unseen, 0, step.reported)
    return step._replace(overseen=step.overseen & ~unseen, reported=reported)


FAULTS: dict[str, tuple[Callable[[Broken, Step], Any], str, str]] = {
    "tuple": (lambda _, step: tuple(step), "shapes and dtypes", "step is a tuple"),
    "dtype": (
        lambda _, s: s._replace(reward=s.reward.double()),
        "shapes and dtypes",
        "reward is (16,) float64",
    ),
    "shape": (
        lambda _, s: s._replace(obs=s.obs[:, :1]),
        "shapes and dtypes",
        "obs is (16, 1, 3, 3) float32",
    ),
    "NaN": (nan_reward, "finite numbers", "reward is wrong in step"),
    "NaN truth": (nan_truth, "finite numbers", "true_reward is wrong in step"),
    "range": (
        lambda _, s: s._replace(final_obs=3 * s.final_obs),
        "observations",
        "obs lies from 0 to 3",
    ),
    "seed": (another_generator, "seed", "differs between two plays with one seed"),
    "no reset": (
        lambda _, s: s._replace(obs=s.final_obs),
        "auto-reset",
        "obs after an end is the last frame",
    ),
    "no final": (
        lambda _, s: s._replace(final_obs=0 * s.obs),
        "auto-reset",
        "obs is not final_obs",
    ),
    "no outcome": (
        lambda _, s: s._replace(outcome=0 * s.outcome),
        "outcomes",
        "must say which outcome",
    ),
    "reward": (
        lambda _, s: s._replace(true_reward=2 * s.true_reward),
        "rewards",
        "outcome_rewards says",
    ),
    "blind": (
        lambda _, s: s._replace(overseen=s.overseen & False, reported=0 * s.reported),
        "oversight",
        "nothing is overseen at oversight 1",
    ),
    "gossip": (
        lambda _, s: s._replace(reported=s.outcome),
        "oversight",
        "report 0 where nobody looked",
    ),
    "written over": (written_over, "what was returned", "what reward returned changed later"),
    "alone": (good_among_others, "one as many", "the share of"),
    "model": (
        lambda _, s: s._replace(reward=s.reward - 0.1 * ~s.terminated),
        "model",
        "reward -0.1 and true reward 0, and the model says otherwise",
    ),
    "model of the truth": (
        lambda _, s: s._replace(true_reward=s.true_reward - 0.1 * ~s.terminated),
        "model",
        "reward 0 and true reward -0.1, and the model says otherwise",
    ),
}
"""What is done to a step, the point that fails by it, and words of what is said."""


def test_where_nothing_is_spoilt_no_point_fails() -> None:
    assert failed(check_env(broken(lambda _, step: step), SMALL)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_step_fails_its_point(fault: str) -> None:
    spoil, name, words = FAULTS[fault]
    found = failed(check_env(broken(spoil), SMALL))
    assert name in found, found
    assert words in found[name]


@pytest.mark.parametrize(
    ("horizon", "words"),
    [
        (16, "an episode is still running in step"),
        (3, "an episode is truncated after 3 steps, the horizon is 8"),
    ],
)
def test_episodes_that_are_cut_off_late_or_early(horizon: int, words: str) -> None:
    def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Gridworld:
        other = replace(config, horizon=horizon)
        env = gridworld.make(other, num_envs, seed=seed, device=device)
        env.spec = replace(env.spec, horizon=config.horizon)
        return env

    assert words in failed(check_env(module_of(make), SMALL))["truncation"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"horizon": 0}, "horizon 0"),
        ({"outcome_rewards": (1.0, 1.0)}, "diamond is the good outcome and has reward 1.0"),
        ({"oversight_channel": 4}, "there is no channel 4"),
    ],
)
def test_a_spec_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> Gridworld:
        env = gridworld.make(config, num_envs, seed=seed, device=device)
        env.spec = replace(env.spec, **changes)
        return env

    assert words in failed(check_env(module_of(make), SMALL))["spec"]


def no_age(env: Broken) -> dict[str, Any]:
    state = Gridworld.state_dict(env)
    return state | {"age": torch.zeros_like(state["age"])}


def another_picture(env: Broken, index: int = 0, mode: str = "", *, final: bool = False) -> Any:
    return torch.zeros(3, 3, 3).numpy()


@pytest.mark.parametrize(
    ("member", "value", "name", "words"),
    [
        ("state_dict", no_age, "state", "steps after the state was loaded"),
        ("state_dict", lambda self: {"itself": self}, "state", "Error: "),
        ("render", another_picture, "render", "render gave (3, 3, 3) float32"),
        ("model", lambda self: 1 / 0, "model", "ZeroDivisionError: division by zero"),
    ],
)
def test_each_fault_outside_of_steps_fails_its_point_alone(
    member: str, value: Any, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = broken(lambda _, step: step)
    monkeypatch.setattr(Broken, member, value)
    found = failed(check_env(module, SMALL))
    assert list(found) == [name]
    assert words in found[name]


def test_what_cannot_be_made_has_one_point() -> None:
    def make(config: Config, num_envs: int, *, seed: int, device: torch.device) -> VecEnv:
        raise RuntimeError("no engine")

    (only,) = check_env(module_of(make), device=CPU)
    assert not only.passed
    assert only.fault == "RuntimeError: no engine"
    assert only.name == next(iter(POINTS))
    assert only.remedy.startswith("Let make(")


class Singles(VecEnv):
    """B worlds of their own: number i of seed s is the one of seed s + i."""

    followers: frozenset[int] = frozenset()
    """Those that take the action of number 0."""

    def __init__(self, config: Config, num_envs: int, *, seed: int, device: torch.device) -> None:
        self.num_envs = num_envs
        self.device = device
        self.worlds = [
            gridworld.make(config, 1, seed=seed + i, device=device) for i in range(num_envs)
        ]
        self.spec = self.worlds[0].spec

    def reset(self) -> Tensor:
        return torch.cat([world.reset() for world in self.worlds])

    def step(self, actions: Tensor) -> Step:
        actions = actions.clone()
        for number in self.followers & set(range(1, self.num_envs)):
            actions[number] = actions[0]
        steps = [world.step(actions[i : i + 1]) for i, world in enumerate(self.worlds)]
        return Step(*(torch.cat(column) for column in zip(*steps, strict=True)))


def test_one_as_many_is_exact_where_seeds_are_single(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(SMALL, horizon=4)
    assert failed(check_env(module_of(Singles), short)) == {}
    monkeypatch.setattr(Singles, "followers", frozenset({7}))
    found = failed(check_env(module_of(Singles), short))
    assert "environment 7 differs from that of one alone" in found["one as many"]
