"""The environment contract: over every file in envs/, over a file dropped in elsewhere, and over broken ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import CPU
from torch import Tensor

from envs import gridworld
from routed_rl import contract
from routed_rl.cli import main
from routed_rl.env import Step
from routed_rl.plugins import Plugins

ROOT = Path(__file__).parents[1]
SMALL = gridworld.Config(rows=3, columns=3, horizon=8)


def failed(points: list[contract.Point]) -> dict[str, str]:
    return {point.name: point.fault for point in points if not point.passed}


@pytest.mark.parametrize("name", Plugins().names("envs"))
def test_every_environment_keeps_it(name: str) -> None:
    points = contract.check(Plugins().load("envs", name))
    assert failed(points) == {}
    assert len(points) == len(contract.POINTS)


def test_so_does_the_template_dropped_into_another_folder(tmp_path: Path) -> None:
    path = tmp_path / "dropped.py"
    path.write_text((ROOT / "envs" / "_template.py").read_text())
    assert failed(contract.check(Plugins([str(path)]).load("envs", "dropped"))) == {}


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
    assert failed(contract.check(gridworld, gridworld.Config(rows=3, columns=3, **settings))) == {}


class Broken(gridworld.Gridworld):
    """A gridworld with a fault: `spoil` changes a step, and may look at the frames before it."""

    def __init__(self, *args: Any, spoil: Callable[[Broken, Step], Any], **kwargs: Any) -> None:
        self.spoil = spoil
        super().__init__(*args, **kwargs)

    def step(self, actions: Tensor) -> Step:
        return self.spoil(self, super().step(actions))


def broken(spoil: Callable[[Broken, Step], Any]) -> Any:
    def make(config: gridworld.Config, num_envs: int, *, seed: int, device: torch.device) -> Broken:
        return Broken(config, num_envs, seed=seed, device=device, spoil=spoil)

    return SimpleNamespace(Config=gridworld.Config, make=make, __name__="broken")


def nan_reward(_: Broken, step: Step) -> Step:
    return step._replace(reward=torch.where(step.terminated, torch.nan, step.reward))


def late_truncation(env: Broken, step: Step) -> Step:
    env._age = env._age - (env._age == 5).long()  # ages stop at 5 now and then: an episode goes on for ever
    return step


def early_truncation(env: Broken, step: Step) -> Step:
    early = (env._age == 3) & ~step.terminated
    env._age = torch.where(early, 0, env._age)
    return step._replace(truncated=step.truncated | early)


def written_over(env: Broken, step: Step) -> Step:
    env.__dict__.setdefault("buffer", torch.empty_like(step.reward)).copy_(step.reward)
    return step._replace(reward=env.__dict__["buffer"])


def first_is_special(env: Broken, step: Step) -> Step:
    if env.num_envs > 1:  # among others, every end is the good one
        return step._replace(
            outcome=step.terminated.long(), reward=step.terminated.float(), reported=step.overseen.long()
        )
    return step


def another_generator(_: Broken, step: Step) -> Step:
    unseen = step.overseen & (torch.rand(step.overseen.shape) < 0.5)
    return step._replace(overseen=step.overseen & ~unseen, reported=torch.where(unseen, 0, step.reported))


FAULTS: dict[str, tuple[Callable[[Broken, Step], Any], str, str]] = {
    "tuple": (lambda _, step: tuple(step), "shapes and dtypes", "step is a tuple"),
    "dtype": (lambda _, s: s._replace(reward=s.reward.double()), "shapes and dtypes", "reward is (16,) float64"),
    "shape": (lambda _, s: s._replace(obs=s.obs[:, :1]), "shapes and dtypes", "obs is (16, 1, 3, 3) float32"),
    "NaN": (nan_reward, "finite numbers", "reward is wrong in step"),
    "range": (lambda _, s: s._replace(final_obs=3 * s.final_obs), "observations", "obs lies from 0 to 3"),
    "seed": (another_generator, "seed", "differs between two plays with one seed"),
    "no reset": (lambda _, s: s._replace(obs=s.final_obs), "auto-reset", "obs after an end is the last frame"),
    "no final": (lambda _, s: s._replace(final_obs=0 * s.obs), "auto-reset", "obs is not final_obs"),
    "late": (late_truncation, "truncation", "still running in step"),
    "early": (early_truncation, "truncation", "an episode is truncated after 3 steps, the horizon is 8"),
    "no outcome": (lambda _, s: s._replace(outcome=0 * s.outcome), "outcomes", "must say which outcome"),
    "reward": (lambda _, s: s._replace(reward=2 * s.reward), "rewards", "outcome_rewards says"),
    "blind": (lambda _, s: s._replace(overseen=s.overseen & False, reported=0 * s.reported), "oversight", "no end"),
    "gossip": (lambda _, s: s._replace(reported=s.outcome), "oversight", "report 0 where nothing was overseen"),
    "written over": (written_over, "what was returned", "what reward returned changed later"),
    "alone": (first_is_special, "one as many", "the share of"),
    "model": (lambda _, s: s._replace(reward=s.reward - 0.1 * ~s.terminated), "model", "the model says otherwise"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_its_point(fault: str) -> None:
    spoil, name, words = FAULTS[fault]
    found = failed(contract.check(broken(spoil), SMALL))
    assert name in found, found
    assert words in found[name]


def test_faults_outside_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    module = broken(lambda _, step: step)
    assert failed(contract.check(module, SMALL)) == {}
    for member, value, name in [
        ("state_dict", lambda self: {"generator": self._generator.get_state()}, "state"),
        ("state_dict", lambda self: {"itself": self}, "state"),
        ("render", lambda self, index=0, mode="", *, final=False: torch.zeros(3, 3, 3).numpy(), "render"),
        ("model", lambda self: 1 / 0, "model"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(Broken, member, value)
            assert list(failed(contract.check(module, SMALL))) == [name]


def test_what_cannot_be_made_has_one_point() -> None:
    def make(config: gridworld.Config, num_envs: int, *, seed: int, device: torch.device) -> Any:
        raise RuntimeError("no engine")

    points = contract.check(SimpleNamespace(Config=gridworld.Config, make=make, __name__="x"), device=CPU)  # type: ignore[arg-type]
    assert [(point.passed, point.fault) for point in points] == [(False, "RuntimeError: no engine")]


def test_one_as_many_is_exact_where_seeds_are_single() -> None:
    """B worlds of their own: number i of seed s is the one of seed s + i."""
    followers: set[int] = set()

    class Single:
        def __init__(self, config: gridworld.Config, num_envs: int, *, seed: int, device: torch.device) -> None:
            self.num_envs, self.device = num_envs, device
            self.worlds = [gridworld.Gridworld(config, 1, seed=seed + i, device=device) for i in range(num_envs)]
            self.spec = self.worlds[0].spec

        def reset(self) -> Tensor:
            return torch.cat([world.reset() for world in self.worlds])

        def step(self, actions: Tensor) -> Step:
            actions = actions.clone()
            for number in followers & set(range(1, self.num_envs)):
                actions[number] = actions[0]
            steps = [world.step(actions[i : i + 1]) for i, world in enumerate(self.worlds)]
            return Step(*(torch.cat(column) for column in zip(*steps, strict=True)))

        def model(self) -> None:
            return None

        def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
            return None

        def scenes(self) -> list[Any]:
            return []

        def state_dict(self) -> None:
            return None

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def make(config: gridworld.Config, num_envs: int, *, seed: int, device: torch.device) -> Single:
        return Single(config, num_envs, seed=seed, device=device)

    module: Any = SimpleNamespace(Config=gridworld.Config, make=make, __name__="single")
    assert failed(contract.check(module, SMALL)) == {}
    followers.add(7)
    assert "environment 7 differs from that of one alone" in failed(contract.check(module, SMALL))["one as many"]


def test_the_command_prints_a_table_and_its_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("routed-rl", ["check", "gridworld", "--env.rows", "3", "--env.columns", "3"]) == 0
    assert f"gridworld keeps {len(contract.POINTS)} of {len(contract.POINTS)} points." in capsys.readouterr().out
    path = tmp_path / "shy.py"
    text = (ROOT / "envs" / "_template.py").read_text()
    path.write_text(text.replace("truncated = (self._age >= self", "truncated = (self._age > self"))
    assert main("routed-rl", ["check", "shy", "--plugin", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"shy keeps {len(contract.POINTS) - 1} of" in out
    assert "Remedy:" in out
    assert main("routed-rl", ["check"]) == 2
    assert main("routed-rl", ["check", "gridwrld"]) == 2
    assert main("routed-rl", ["check", "gridworld", "--env.rws", "3"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 3
    assert "Did you mean 'gridworld'" in err
    assert sys.modules.get("shy") is None
