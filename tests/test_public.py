"""The Python API: every public name is there, and training takes dataclasses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers import CPU
from helpers import run as on_the_command_line

import routed_rl
from routed_rl import Named, Policy, Run, UserError, ablate, load, train
from routed_rl.agents import oracle, routed
from routed_rl.envs import gridworld
from routed_rl.gym import vectors

SMALL = {"num_envs": 16, "evaluations": 1}
WORLD = gridworld.Config(rows=3, columns=3, oversight=0.5)
AGENT = routed.Config(hidden=(8,), rollout_steps=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "one"
    return train(WORLD, AGENT, steps=1024, seed=3, folder=folder, **SMALL)


def test_every_public_name_can_be_imported() -> None:
    assert len(routed_rl.__all__) > 40
    for name in routed_rl.__all__:
        assert getattr(routed_rl, name) is not None, name
    with pytest.raises(AttributeError):
        _ = routed_rl.no_such_name  # type: ignore[attr-defined]


def test_the_package_alone_needs_no_torch() -> None:
    code = "import sys, routed_rl; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_has_its_result_and_is_what_the_command_line_trains(run: Run, tmp_path: Path) -> None:
    report = run.result["policies"]["diamond"]
    assert report.exact
    assert report.true_return == pytest.approx(run.evaluate()["diamond"].true_return, abs=1e-12)
    flags = (
        "--env.rows 3 --env.columns 3 --env.oversight 0.5 --agent.hidden 8 "
        "--agent.rollout-steps 8 --steps 1024 --seed 3 --num-envs 16 --evaluations 1 --run-dir"
    )
    assert on_the_command_line(*flags.split(), str(tmp_path / "cli")) == 0
    assert load(tmp_path / "cli").result["policies"]["diamond"] == report
    mine = (run.folder / "config.yaml").read_text()
    assert (tmp_path / "cli" / "config.yaml").read_text() == mine


def test_what_is_deployed_is_the_good_expert_alone(run: Run) -> None:
    policy = run.deploy()
    assert isinstance(policy, Policy)
    assert policy.spec.experts == ("diamond",)
    assert not policy.spec.gate
    world = gridworld.make(WORLD, 4, seed=0, device=CPU)
    obs = world.reset()
    again = ablate(run.policies()["mixture"], {"diamond": 1.0})
    assert torch.equal(policy(obs).actions, again(obs).actions)


def test_a_run_is_reopened_and_goes_on(run: Run) -> None:
    reopened = load(run.folder)
    assert reopened.setup.config == run.setup.config
    before = reopened.deploy()
    longer = reopened.resume(steps=2048)
    assert longer is reopened
    assert longer.result["env_steps"] == 2048
    assert longer.setup.config.settings.steps == 2048
    assert not torch.equal(before.head.weight, longer.deploy().head.weight)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has its 2,048 steps"):
        load(run.folder).resume()
    with pytest.raises(UserError, match="has a run already"):
        load(run.folder).train()


def test_numbers_of_numpy_and_whole_floats_are_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = gridworld.Config(rows=3, columns=3, oversight=np.float64(0.5))  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    run = train(world, AGENT, steps=1e2, seed=np.int64(3), folder="run", **SMALL)  # type: ignore[arg-type]
    monkeypatch.chdir("/")
    assert run.result["seed"] == 3
    assert load(tmp_path / "run").setup.config == run.setup.config
    assert run.setup.config.settings.steps == 100


def test_names_do_as_well(tmp_path: Path) -> None:
    own = vectors.Config(oversight=0.3, kwargs=("is_slippery=false",), horizon=8)
    agent = oracle.Config(hidden=(8,), rollout_steps=8)
    frozen = Named("FrozenLake-v1", own)
    run = train(frozen, agent, steps=256, folder=tmp_path / "lake", episodes=4, **SMALL)
    assert run.result["env"] == "FrozenLake-v1"
    assert load(run.folder).setup.config.env == own
    default = train("gridworld", "oracle", steps=64, folder=tmp_path / "two", num_envs=1)
    assert default.result["agent"] == "oracle"


def test_settings_of_a_file_elsewhere_bring_their_file_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "attic.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom routed_rl.envs import gridworld\n\n"
        "@dataclass(frozen=True)\nclass Config(gridworld.Config):\n    rows: int = 3\n\n"
        "def make(config, num_envs, *, seed, device):\n"
        "    assert isinstance(config, Config)\n"
        "    return gridworld.make(config, num_envs, seed=seed, device=device)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import attic  # type: ignore[import-not-found]

    run = train(attic.Config(), AGENT, steps=128, folder=tmp_path / "run", **SMALL)
    assert run.result["env"] == "attic"
    assert load(run.folder).setup.config.names.plugins == (str(path),)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_env": 3}, "no setting 'num_env'. Did you mean 'num_envs'"),
        ({"num_envs": 0}, "num-envs is 0: it must be at least 1"),
        ({"num_envs": 2.5}, "num-envs is 2.5: give a whole number"),
        ({"steps": "512"}, "steps is '512': give a whole number"),
        ({"good": "diamond"}, "good is 'diamond': give a sequence of words"),
        ({"good": ("gost",)}, "'gost' is none of the outcomes"),
        ({"device": "toaster"}, "no device 'toaster'"),
    ],
)
def test_a_wrong_setting_is_told(arguments: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        train(WORLD, AGENT, folder=tmp_path / "run", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists(), "the next try can have it"


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        train(WORLD, AGENT, folder=run.folder)
    with pytest.raises(UserError, match="there is no agent 'oracel'"):
        train(WORLD, "oracel", folder=tmp_path)
    with pytest.raises(UserError, match="is no run"):
        load(tmp_path)


def test_a_world_in_no_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from dataclasses import dataclass\n"
        "from routed_rl.envs import gridworld\n"
        "@dataclass(frozen=True)\nclass Config(gridworld.Config): ...\n"
        "make = gridworld.make\n"
    )
    typed = ModuleType("__main__")  # as `python -c` and an interactive Python have it
    monkeypatch.setitem(sys.modules, "__main__", typed)
    exec(code, vars(typed))
    with pytest.raises(UserError, match="is in no file, so a run of it could not be reopened"):
        train(typed.Config(), "routed", steps=1)
    with pytest.raises(UserError, match="pass an instance of its Config"):
        train(gridworld)
    with pytest.raises(UserError, match="pass an instance of its Config"):
        train(gridworld.Config)


def test_scripts_beside_the_package_are_no_part_of_it() -> None:
    code = "import importlib; importlib.import_module('routed_rl.sweep')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in done.stderr
