"""Installed plug-ins that break: one line that names plug-in, step and field, and a run that can go on."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from helpers import TINY, random_rollout, world

from routed_rl.cli import run_command
from routed_rl.commands.train import train
from routed_rl.guard import ContractError, Guarded, faults
from routed_rl.plugins import Plugins

ENV = '''"""A world that breaks in its 20th step."""
import torch
from envs.gridworld import Config, Gridworld


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
from agents.routed import Agent as Routed, Config


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
    (info / "entry_points.txt").write_text("[routed_rl.plugins]\nbreaking = worlds_that_break.breaking\n")
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
    assert run_command(train, args) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


FAULTS = {
    "raises": ("raise RuntimeError('engine lost')", "step 305, step raised RuntimeError: engine lost (breaking.py:13)"),
    "NaN": ("step.reward[3] = torch.nan", "step 308, reward holds NaN or infinity: every number must be finite."),
    "NaN obs": ("step.obs[2, 0] = torch.nan", "step 307, obs holds NaN or infinity"),
    "shape": (
        "step = step._replace(obs=step.obs[:, :2])",
        "step 305, obs is (16, 2, 3, 3) float32: make it (16, 4, 3, 3)",
    ),
    "dtype": (
        "step = step._replace(reward=step.reward.double())",
        "step 305, reward is (16,) float64: make it (16,) float32",
    ),
    "no tensor": ("step = step._replace(reward=0.0)", "step 305, reward is a float: make it a tensor"),
    "no Step": ("step = tuple(step)", "step 305, step is a tuple: return routed_rl.env.Step"),
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
    args = ["--env", "breaking", *TINY, "--steps", "512", "--evaluations", "0", "--run-dir", str(folder)]
    error = fails(args, capsys)
    assert f"environment breaking, {words}" in error
    assert f"The run is saved at step 256: go on with --resume {folder}." in error
    install.write_text(ENV.format(fault="pass"))
    forget()
    assert run_command(train, ["--resume", str(folder)]) == 0
    assert "episodes begin anew" in capsys.readouterr().err
    assert json.loads((folder / "result.json").read_text())["env_steps"] == 512


def test_a_broken_agent_is_told_and_its_nonsense_does_not_replace_the_checkpoint(
    install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tail = ["--agent", "breaking", *TINY, "--steps", "640", "--evaluations", "0", "--run-dir"]
    install.write_text(AGENT.format(fault="raise ValueError('no idea')"))
    error = fails([*tail, str(tmp_path / "one")], capsys)
    assert "agent breaking, step 385, update raised ValueError: no idea (breaking.py:13)" in error
    assert "saved at step 256" in error
    forget()
    code = "next(self.learner.policy.parameters()).data.fill_(torch.nan)"
    install.write_text(AGENT.format(fault=code))
    error = fails([*tail, str(tmp_path / "two")], capsys)
    assert "agent breaking, step 385" in error
    assert "the last checkpoint stands" in error
    forget()
    install.write_text(AGENT.format(fault="pass"))
    assert run_command(train, ["--resume", str(tmp_path / "two")]) == 0, "there is one from the very start"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("import nowhere_at_all\n\n\ndef make(): ...\n", "No module named 'nowhere_at_all'"),
        ("def (", "SyntaxError"),
        (
            ENV.format(fault="pass").replace("return Breaking", "raise OSError('no licence')\n    return Breaking"),
            "no licence",
        ),
    ],
)
def test_a_plugin_that_fails_before_the_run_is_told(
    content: str, words: str, install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.write_text(content)
    assert "breaking" in Plugins().names("envs")
    error = fails(["--env", "breaking", *TINY, "--run-dir", str(tmp_path / "run")], capsys)
    assert "breaking" in error
    assert words in error
    assert run_command(train, ["--list"]) == 0, "a broken plug-in must not hide the others"
    assert "gridworld" in capsys.readouterr().out


def test_evaluation_is_guarded_too(install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "raise RuntimeError('engine lost')"
    install.write_text(ENV.format(fault=code).replace("calls == 20", "calls == 20 and self.num_envs == 64"))
    flags = ["--env.spurious-oversight", "0.1", "--episodes", "64", "--evaluations", "1", "--steps", "512"]
    error = fails(["--env", "breaking", *TINY, *flags, "--run-dir", str(tmp_path / "run")], capsys)
    assert "environment breaking in evaluation, step 1,217, step raised RuntimeError" in error  # 19 * 64 + 1
    assert "saved at step 512" in error


def test_a_fault_after_the_last_step_leaves_the_run_saved(
    install: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "raise RuntimeError('engine lost')"
    install.write_text(ENV.format(fault=code).replace("calls == 20", "calls == 20 and self.num_envs == 64"))
    flags = ["--env.spurious-oversight", "0.1", "--episodes", "64", "--evaluations", "0", "--steps", "512"]
    folder = tmp_path / "run"
    error = fails(["--env", "breaking", *TINY, *flags, "--run-dir", str(folder)], capsys)
    assert f"The run is saved at step 512: go on with --resume {folder}." in error
    install.write_text(ENV.format(fault="pass"))
    forget()
    assert run_command(train, ["--resume", str(folder)]) == 0


def test_a_sound_rollout_has_no_fault_and_rules_say_where() -> None:
    env = world(4)
    rollout = random_rollout(env, 40)
    assert not any(bool(wrong.any()) for _, wrong, _ in faults(rollout, env.spec))
    guarded = Guarded(env, "x")
    guarded.env_steps = 160
    guarded.check(rollout)
    rollout.reported[7, 2] = 9
    with pytest.raises(ContractError, match="environment x, step 31, reported is 9"):  # 7 * 4 + 2 + 1
        guarded.check(rollout)


def test_an_agent_whose_actions_are_wrong_is_to_blame() -> None:
    guarded = Guarded(world(4), "x", "y")
    guarded.reset()
    with pytest.raises(ContractError, match=r"agent y, step 1, action is \(3,\) int64: make it \(4,\) int64"):
        guarded.step(torch.zeros(3, dtype=torch.int64))
