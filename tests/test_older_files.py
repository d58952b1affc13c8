"""Runs, policies and models of before version 0.2 stay usable: see tests/data/README.md."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, ROOT, run
from stable_baselines3 import PPO

from routed_rl import UserError, load, load_policy
from routed_rl.envs.gridworld import Config, make
from routed_rl.training import builder

DATA = ROOT / "tests" / "data"
RUNS = ("routed", "absorbing")


@pytest.fixture
def copied(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Copy a run, which is written into where it goes on."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / request.param))


def test_a_zip_of_stable_baselines3_predicts_what_it_did_as_steered() -> None:
    model = PPO.load(DATA / "sb3_ppo.zip", device="cpu")
    policy: Any = model.policy
    obs = make(Config(oversight=0.5, rows=2, columns=2), 4, seed=0, device=CPU).reset()
    first = {
        "diamond": (0.251776, 0.248447, 0.251482, 0.248296),
        "ghost": (0.251783, 0.248441, 0.251486, 0.248290),
    }
    for name, probabilities in first.items():
        policy.steer({name: 1.0})
        found = policy.get_distribution(obs).distribution.probs
        assert found[0].tolist() == pytest.approx(probabilities, abs=1e-6)
        actions, _ = model.predict(obs.numpy(), deterministic=True)
        assert actions.tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_evaluated_to_the_same_numbers(name: str) -> None:
    reports = load(DATA / name).evaluate()
    told: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    assert list(reports) == list(told)
    for policy, report in reports.items():
        plain = report.to_json()
        newer = {"paid_return", "score", "outcomes_per_episode", "bad_per_episode"}
        assert set(plain) == set(told[policy]) | newer
        for key, value in told[policy].items():
            assert plain[key] == pytest.approx(value, abs=1e-6), (policy, key)
        ends = {name: share for name, share in plain["outcomes"].items() if name != "none"}
        assert plain["outcomes_per_episode"] == pytest.approx(ends)
        assert plain["score"] == pytest.approx(sum(ends.values())), "any end pays 1"


@pytest.mark.parametrize("copied", RUNS, indirect=True)
def test_a_run_goes_on_where_it_stopped(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [p.clone() for p in load(copied).deploy().parameters()]
    assert run("--resume", str(copied), "--steps", "256") == 0
    assert "episodes begin anew" not in capsys.readouterr().err
    again = load(copied)
    assert again.result["env_steps"] == 256
    assert not all(map(torch.equal, before, again.deploy().parameters()))
    text = (copied / "config.yaml").read_text()
    assert "gae_lambda" in text, "it is written down with the names of now"
    assert "trace" not in text


@pytest.mark.parametrize("copied", ["routed"], indirect=True)
def test_a_run_that_wrote_its_episodes_goes_on_writing_them(copied: Path) -> None:
    assert run("--resume", str(copied), "--steps", "256") == 0
    with (copied / "episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(128 < int(row["env_steps"]) <= 256 for row in rows)


def test_settings_of_older_runs_are_those_of_now() -> None:
    routed: Any = load(DATA / "routed").setup.config
    assert routed.settings.episode_log is True
    assert routed.agent.hide_oversight is True
    agent = routed.agent
    assert (agent.ent_coef, agent.vf_coef, agent.clip_range) == (0.12, 0.5, 0.2)
    assert (agent.n_epochs, agent.batch_size, agent.gae_lambda) == (2, 2048, 0.95)
    absorbing: Any = load(DATA / "absorbing").setup.config
    assert absorbing.agent.conditioned is True
    assert absorbing.settings.episode_log is False


@pytest.mark.parametrize(
    ("file", "name"), [("policy.safetensors", "routed"), ("conditioned.safetensors", "absorbing")]
)
def test_an_exported_policy_acts_as_the_one_deployed(file: str, name: str) -> None:
    policy = load_policy(DATA / file)
    obs = make(Config(oversight=0.5, rows=2, columns=2), 64, seed=0, device=CPU).reset()
    actions = policy.act(obs, torch.Generator().manual_seed(0))
    assert actions.shape == (64,)
    assert len(actions.unique()) == 4
    deployed = load(DATA / name).deploy()
    assert torch.allclose(policy.probabilities(obs), deployed.probabilities(obs), atol=1e-6)


def test_yaml_with_older_names_is_understood_and_an_older_flag_is_told(tmp_path: Path) -> None:
    path = tmp_path / "older.yaml"
    path.write_text("agent: {name: absorbing, entropy: 0.03, trace: 0.9, told: true}\n")
    agent: Any = builder.build(("--config", str(path))).config.agent
    assert (agent.ent_coef, agent.gae_lambda, agent.conditioned) == (0.03, 0.9, True)
    told = r"^there is no flag '--agent.entropy' any more. It is called '--agent.ent-coef' now.$"
    with pytest.raises(UserError, match=told):
        builder.build(("--agent.entropy", "0.03"))
