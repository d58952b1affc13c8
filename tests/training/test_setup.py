"""A run's parts, as its settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import TINY

from routed_rl.training import builder
from routed_rl.training.setup import Setup, to_device
from routed_rl.utils.errors import UserError


def build(*flags: str) -> Setup:
    return builder.build([*TINY, *flags])


def test_seeds_differ_by_part_and_are_decided_by_the_runs_seed() -> None:
    one, same, other = build(), build(), build("--seed", "1")
    seeds = [(setup.env_seed, setup.selection_seed) for setup in (one, same, other)]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 4
    env = one.make_env(4, seed=0)
    weights = [
        torch.cat([p.flatten() for p in setup.make_agent(env).policies()["mixture"].parameters()])
        for setup in (one, same, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_oversight_and_good_outcomes_can_be_others() -> None:
    setup = build("--env.oversight", "0")
    env = setup.make_env(64, seed=0, oversight=1.0, good=("ghost",))
    assert env.spec.target == "ghost"
    env.reset()
    steps = [env.step(torch.full((64,), number % 4)) for number in range(8)]
    assert any(step.overseen.any() for step in steps)
    for step in steps:
        assert torch.equal(step.overseen, step.terminated)
        assert (step.true_reward[step.outcome == 2] == 1).all()
        assert (step.true_reward[step.outcome == 1] == -1).all()
        assert torch.equal(step.reward, step.terminated.float()), "what is paid stays as it is"
    met = torch.cat([step.outcome for step in steps])
    assert set(met.tolist()) == {0, 1, 2}
    assert setup.make_env(1, seed=0).spec.target == "diamond"
    with pytest.raises(UserError, match="oversight is 2"):
        setup.make_env(1, seed=0, oversight=2.0)
    with pytest.raises(UserError, match="good: 'goblin' is none of the outcomes"):
        setup.make_env(1, seed=0, good=("goblin",))
    with pytest.raises(UserError, match="oversight is 2"):
        setup.make_evaluator(oversight=2.0)


def test_evaluation_has_labels_without_end_and_a_seed_of_its_own() -> None:
    spent = build("--env.label-budget", "0", "--env.oversight", "0.5")
    endless = build("--env.oversight", "0.5")
    env = spent.make_env(4, seed=0)
    policies = spent.make_agent(env).policies()
    played: dict[str, Any] = {"sampled": True, "episodes": 64}
    reports = [s.make_evaluator(**played).returns(policies) for s in (spent, endless)]
    assert reports[0] == reports[1]
    assert build("--seed", "1").make_evaluator(**played).returns(policies) != reports[0]


def test_a_checkpoint_of_another_agent_or_shape_is_refused(tmp_path: Path) -> None:
    setup = build()
    env = setup.make_env(1, seed=0)
    agent = setup.make_agent(env)
    state = {"names": ["gridworld", "routed"], "agent": agent.state_dict()}
    setup.restore(agent, state, tmp_path)
    with pytest.raises(UserError, match="was saved by gridworld and naive, this run is of"):
        setup.restore(agent, state | {"names": ["gridworld", "naive"]}, tmp_path)
    wider = build("--agent.hidden", "9")
    with pytest.raises(UserError, match=r"does not fit config\.yaml"):
        wider.restore(wider.make_agent(env), state, tmp_path)


def test_a_device_that_is_not_there_is_told() -> None:
    assert to_device("cpu").type == "cpu"
    assert to_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UserError, match="there is no device 'abacus' here"):
        to_device("abacus")


def test_an_older_checkpoint_has_the_path_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rooms.py").write_text("from routed_rl.envs.gridworld import Config, make\n")
    monkeypatch.chdir(tmp_path)
    setup = build("--env", "rooms.py")
    agent = setup.make_agent(setup.make_env(1, seed=0))
    for name in ("rooms", "rooms.py", f"{tmp_path}/rooms.py"):
        setup.restore(agent, {"names": [name, "routed"], "agent": agent.state_dict()}, tmp_path)
    with pytest.raises(UserError, match=r"was saved by halls\.py and routed, this run is of rooms"):
        setup.restore(agent, {"names": ["halls.py", "routed"]}, tmp_path)
