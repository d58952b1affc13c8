"""Installed plug-ins that break: one line says which, when and what, and the run can go on."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from helpers import TINY, random_rollout, run, world

from routed_rl.registry import Registry
from routed_rl.rollouts.attribution import ContractError
from routed_rl.rollouts.checked_world import CheckedWorld

ENV = '''"""A world that breaks in its 20th step."""
import torch
from routed_rl.envs.gridworld import Config, Gridworld


class Breaking(Gridworld):
    calls = 0

    def step(self, actions):
        step = super().step(actions)
        self.calls += 1
        if self.calls == 20:
            {fault}
        return step


def make(config, num_envs, *, seed, device):
    return Breaking(config, num_envs, seed=seed, device=device)
'''
AGENT = '''"""A method that breaks in its third update."""
import torch
from routed_rl.agents.routed import Agent as Routed, Config


class Agent(Routed):
    updates = 0

    def update(self, rollout):
        metrics = super().update(rollout)
        self.updates += 1
        if self.updates == 3:
            {fault}
        return metrics
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay a package where Python finds installed ones; return the file of its plug-in."""
    info = tmp_path / "site" / "worlds_that_break-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: worlds-that-break\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[routed_rl.plugins]\nbreaking = worlds_that_break.breaking\n"
    )
    path = tmp_path / "site" / "worlds_that_break" / "breaking.py"
    path.parent.mkdir()
    (path.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget()
    return path


def forget() -> None:
    """Let Python import the plug-in anew."""
    for name in [name for name in sys.modules if name.startswith("worlds_that_break")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def fails(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Train, and return the one line of its error."""
    capsys.readouterr()
    assert run(*args) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


FAULTS = {
    "raises": (
        "raise RuntimeError('engine lost')",
        "step 305, step raised RuntimeError: engine lost (breaking.py:13)",
    ),
    "NaN": (
        "step.reward[3] = torch.nan",
        "step 308, reward holds NaN or infinity: every number must be finite.",
    ),
    "NaN truth": (
        "step.true_reward[5] = torch.nan",
        "step 310, true_reward holds NaN or infinity: every number must be finite.",
    ),
    "NaN obs": ("step.obs[2, 0] = torch.nan", "step 307, obs holds NaN or infinity"),
    "shape": (
        "step = step._replace(obs=step.obs[:, :2])",
        "step 305, obs is (16, 2, 3, 3) float32: make it (16, 4, 3, 3)",
    ),
    "dtype": (
        "step = step._replace(reward=step.reward.double())",
        "step 305, reward is (16,) float64: make it (16,) float32",
    ),
    "dtype of the truth": (
        "step = step._replace(true_reward=step.true_reward.double())",
        "step 305, true_reward is (16,) float64: make it (16,) float32",
    ),
    "of version 0.2": (
        "answers = step._asdict(); del answers['true_reward']; step = type(step)(**answers)",
        "step 305, step returned no true_reward: this world was written for version 0.2. Let "
        "Step's reward be what the world pays (terminated.float() if any end pays), its "
        "true_reward what reward was, and give EnvSpec outcomes_end=True.",
    ),
    "no tensor": (
        "step = step._replace(reward=0.0)",
        "step 305, reward is a float: make it a tensor",
    ),
    "no Step": ("step = tuple(step)", "step 305, step is a tuple: return routed_rl.Step"),
    "no outcome": (
        "step.terminated[5] = True; step.truncated[5] = False; step.outcome[5] = 0",
        "step 310, outcome is 0: an",
    ),
    "no such outcome": (
        "step.terminated[0] = True; step.outcome[0] = 3",
        "step 305, outcome is 3: give 0 or the number",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_environment_is_told_and_the_run_is_saved(
    fault: str, install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, words = FAULTS[fault]
    install.write_text(ENV.format(fault=code))
    folder = tmp_path / "run"
    flags = ["--steps", "512", "--evaluations", "0", "--run-dir", str(folder)]
    error = fails(["--env", "breaking", *TINY, *flags], capsys)
    assert f"environment breaking, {words}" in error
    assert f"The run is saved at step 256: go on with --resume {folder}." in error
    install.write_text(ENV.format(fault="pass"))
    forget()
    assert run("--resume", str(folder)) == 0
    assert "episodes begin anew" in capsys.readouterr().err
    assert json.loads((folder / "result.json").read_text())["env_steps"] == 512


def test_a_broken_agent_is_told_and_its_nonsense_does_not_replace_the_checkpoint(
    install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--agent", "breaking", *TINY, "--steps", "640", "--evaluations", "0", "--run-dir"]
    install.write_text(AGENT.format(fault="raise ValueError('no idea')"))
    error = fails([*flags, str(tmp_path / "one")], capsys)
    assert "agent breaking, step 385, update raised ValueError: no idea (breaking.py:13)" in error
    assert "saved at step 256" in error
    forget()
    code = "next(self.learner.policy.parameters()).data.fill_(torch.nan)"
    install.write_text(AGENT.format(fault=code))
    error = fails([*flags, str(tmp_path / "two")], capsys)
    assert "agent breaking, step 385" in error
    assert "the last checkpoint stands" in error
    forget()
    install.write_text(AGENT.format(fault="pass"))
    assert run("--resume", str(tmp_path / "two")) == 0, "there is one from the very start"


FAILS_IN_MAKE = "raise OSError('no licence')\n    return Breaking"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("import nowhere_at_all\n\n\ndef make(): ...\n", "No module named 'nowhere_at_all'"),
        ("def (", "SyntaxError"),
        (ENV.format(fault="pass").replace("return Breaking", FAILS_IN_MAKE), "no licence"),
    ],
)
def test_a_plugin_that_fails_before_the_run_is_told(
    content: str, words: str, install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.write_text(content)
    assert "breaking" in Registry().names("envs")
    error = fails(["--env", "breaking", *TINY, "--run-dir", str(tmp_path / "run")], capsys)
    assert "breaking" in error
    assert words in error
    assert run("--list") == 0, "a broken plug-in must not hide the others"
    assert "gridworld" in capsys.readouterr().out


BREAKS_IN_EVALUATION = ENV.format(fault="raise RuntimeError('engine lost')").replace(
    "calls == 20", "calls == 20 and self.num_envs == 64"
)
EVALUATED = [
    *("--env", "breaking", *TINY, "--steps", "512"),
    *("--env.spurious-oversight", "0.1", "--episodes", "64"),  # too many states to be exact
]


def test_evaluation_is_checked_too(
    install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.write_text(BREAKS_IN_EVALUATION)
    flags = ["--evaluations", "1", "--run-dir", str(tmp_path / "run")]
    error = fails([*EVALUATED, *flags], capsys)
    where = "environment breaking in evaluation, step 1,217, step raised RuntimeError"
    assert where in error  # 19 * 64 + 1
    assert "saved at step 512" in error


def test_a_fault_after_the_last_step_leaves_the_run_saved(
    install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.write_text(BREAKS_IN_EVALUATION)
    folder = tmp_path / "run"
    error = fails([*EVALUATED, "--evaluations", "0", "--run-dir", str(folder)], capsys)
    assert f"The run is saved at step 512: go on with --resume {folder}." in error
    install.write_text(ENV.format(fault="pass"))
    forget()
    assert run("--resume", str(folder)) == 0


def test_a_wrong_value_is_told_with_the_step_of_the_run_that_it_came_in() -> None:
    env = CheckedWorld(world(4), "x")
    env.begin_rollout(1000)
    rollout = random_rollout(env, 40)
    assert env.env_steps == 1160
    env.check(rollout)
    rollout.reported[7, 2] = 9
    # 1000 + 7 * 4 + 2 + 1
    with pytest.raises(ContractError, match="environment x, step 1,031, reported is 9"):
        env.check(rollout)


def test_actions_of_a_wrong_shape_are_the_agents_fault() -> None:
    env = CheckedWorld(world(4), "x", "y")
    env.reset()
    words = r"agent y, step 1, action is \(3,\) int64: make it \(4,\) int64"
    with pytest.raises(ContractError, match=words):
        env.step(torch.zeros(3, dtype=torch.int64))
