"""Processes that torchrun starts train one run together, as one process would alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from torch import Tensor

from routed_rl.training.builder import build
from routed_rl.training.checkpoints import load
from routed_rl.training.run import Run
from routed_rl.training.run_folder import claim
from routed_rl.training.setup import Setup
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv

FLAGS = [
    *("--env.rows", "3", "--env.columns", "3", "--env.oversight", "0.5", "--num-envs", "16"),
    *("--agent.hidden", "8", "--agent.rollout-steps", "8", "--agent.batch-size", "32"),
    *("--evaluations", "2", "--device", "cpu"),
]
UPDATE = 16 * 8
"""Environment steps."""

DIES = """
import os, signal
from routed_rl.envs import gridworld
from routed_rl.envs.gridworld import Config

class Dies(gridworld.Gridworld):
    steps = 0

    def step(self, actions):
        self.steps += 1
        if os.environ.get("RANK") == "1" and self.steps == 8 * 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(actions)

def make(config, num_envs, *, seed, device):
    return Dies(config, num_envs, seed=seed, device=device)
"""


def together(*args: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Train by processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meeting = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), *meeting]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if "lo" in [name for _, name in socket.if_nameindex()]:
        surroundings["GLOO_SOCKET_IFNAME"] = "lo"  # no name is to be looked up
    command = [sys.executable, *launcher, "-m", "routed_rl", "train", *args]
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120)


class SideBySide(VecEnv):
    """Worlds of one kind, as one."""

    def __init__(self, *parts: VecEnv) -> None:
        self.parts = parts
        self.spec = parts[0].spec
        self.device = parts[0].device
        self.num_envs = sum(part.num_envs for part in parts)

    def reset(self) -> Tensor:
        return torch.cat([part.reset() for part in self.parts])

    def step(self, actions: Tensor) -> Step:
        acted = zip(self.parts, actions.chunk(len(self.parts)), strict=True)
        steps = [part.step(own) for part, own in acted]
        return Step(*(torch.cat(column) for column in zip(*steps, strict=True)))

    def model(self) -> TabularMDP | None:
        return self.parts[0].model()


def alone(folder: Path, flags: list[str]) -> None:
    """Train by one process, in the environments that two would have."""
    setup = build(flags)
    seed = setup.env_seed
    (second,) = np.random.SeedSequence((seed, 1)).generate_state(1).tolist()

    class Both(Setup):
        def make_env(self, num_envs: int, **settings: Any) -> VecEnv:
            if settings["seed"] != seed:
                return Setup.make_env(self, num_envs, **settings)
            make = super().make_env
            return SideBySide(*(make(num_envs // 2, seed=own) for own in (seed, second)))

    setup.__class__ = Both
    Run(setup, claim(setup.config, folder)).train()


def flat(state: Any, prefix: str = "") -> dict[str, Any]:
    """Name every tensor and number of a state."""
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, list | tuple):
        items = enumerate(state)
    else:
        return {prefix: state}
    return {n: v for key, own in items for n, v in flat(own, f"{prefix}/{key}").items()}


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["routed", "absorbing"])
def test_two_processes_train_what_one_trains_with_all_environments(
    tmp_path: Path, agent: str
) -> None:
    flags = [*FLAGS, "--agent", agent, "--steps", str(20 * UPDATE)]
    done = together(*flags, "--run-dir", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved in") == 1  # one process speaks for all
    alone(tmp_path / "one", flags)
    one, two = (
        load(tmp_path / name / "checkpoints" / "last.pt", torch.device("cpu"))
        for name in ("one", "two")
    )
    for name in ("env_steps", "labelled_episodes", "happened", "labelled"):
        assert one[name] == two[name]
    assert one["env_steps"] == 20 * UPDATE
    theirs = flat(two["agent"])
    for name, value in flat(one["agent"]).items():
        if isinstance(value, Tensor) and value.is_floating_point():
            torch.testing.assert_close(theirs[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_run_of_processes_is_resumed_to_the_bit_by_as_many(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert together(*FLAGS, "--steps", str(8 * UPDATE), "--run-dir", str(whole)).returncode == 0
    assert together(*FLAGS, "--steps", str(4 * UPDATE), "--run-dir", str(broken)).returncode == 0
    resumed = together("--resume", str(broken), "--steps", str(8 * UPDATE))
    assert resumed.returncode == 0, resumed.stderr
    ends = [flat(torch.load(f / "checkpoints" / "last.pt")["agent"]) for f in (whole, broken)]
    for name, value in ends[0].items():
        same = torch.equal(value, ends[1][name]) if isinstance(value, Tensor) else True
        assert same, name
    # One process takes it up as well, with new episodes.
    assert Run(build(FLAGS), broken).resume(steps=10 * UPDATE).result["env_steps"] == 10 * UPDATE


@pytest.mark.slow
def test_a_lost_process_ends_the_run_with_a_line_and_a_checkpoint(tmp_path: Path) -> None:
    plugin = tmp_path / "dies.py"
    plugin.write_text(DIES)
    folder = tmp_path / "run"
    own = ["--env", str(plugin), "--steps", str(40 * UPDATE), "--evaluations", "8"]
    done = together(*FLAGS, *own, "--run-dir", str(folder))
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told == [
        line for line in told if line.startswith("error: another process of this run has ended (")
    ]
    assert told[0].endswith(f"). The last checkpoint stands: go on with --resume {folder}.")
    assert len(told) == 1
    saved = load(folder / "checkpoints" / "last.pt", torch.device("cpu"))
    assert saved["env_steps"] == 5 * UPDATE


@pytest.mark.slow
def test_fewer_observations_than_processes_are_no_trouble(tmp_path: Path) -> None:
    # One observation is all there is to see of a grid of one row with one free cell a thing.
    flags = ["--env.rows", "1", "--env.columns", "2", "--env.outcomes", "diamond"]
    own = [*FLAGS, *flags, "--env.oversight", "0", "--steps", str(4 * UPDATE)]
    done = together(*own, "--num-envs", "18", "--run-dir", str(tmp_path / "run"), processes=3)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_cannot_be_split_is_one_line(tmp_path: Path) -> None:
    done = together(*FLAGS, "--num-envs", "17", "--run-dir", str(tmp_path / "run"))
    assert "error: num-envs is 17: give a multiple of the 2 processes." in done.stderr
