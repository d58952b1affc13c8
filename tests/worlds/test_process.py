"""Oversight as a process: what it takes away, what it costs, and what it leaves as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, ROOT, TINY, random_actions, random_rollout, run, world
from moves import always, evaluate, walk
from torch import Tensor

from routed_rl import UserError, check_env
from routed_rl.envs import absent_supervisor, gridworld, point
from routed_rl.envs.gridworld import Gridworld
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.gym import from_gym
from routed_rl.rollouts import labels
from routed_rl.worlds.outcomes import Label
from routed_rl.worlds.process import OversightProcess, ProcessConfig, with_process
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv

SIGHT = f"{ROOT}/examples/sight.py"


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Write functions of another kind of observation, and a wrong one."""
    path = tmp_path / "own.py"
    path.write_text(
        "import torch\n"
        "def half(obs): return torch.full((len(obs),), 0.5)\n"
        "def wrong(obs): return torch.ones(1)\n"
    )
    return str(path)


def supervised(num_envs: int = 1, **settings: Any) -> VecEnv:
    config = absent_supervisor.Config(**{"oversight": 1.0} | settings)
    return absent_supervisor.make(config, num_envs, seed=0, device=CPU)


def play(env: VecEnv, actions: Tensor) -> list[Step]:
    env.reset()
    return [env.step(action) for action in actions]


def test_without_its_settings_nothing_is_wrapped() -> None:
    env = world()
    assert with_process(env, ProcessConfig(), seed=0) is env
    assert type(gridworld.make(gridworld.Config(), 1, seed=0, device=CPU)) is Gridworld


def test_the_overseer_looks_where_it_is_asked() -> None:
    env = supervised(ask=True, oversight_cost=0.5)
    assert env.spec.num_actions == 8
    # Down onto the field, and down to the goal; the second time the field is entered with asking.
    free = walk(env, "dd")
    assert [bool(step.overseen[0]) for step in free.steps] == [False, False]
    assert [int(step.reported[0]) for step in free.steps] == [0, 0]
    assert (free.paid, free.true) == (-32, -32)
    env.reset()
    steps = [env.step(torch.tensor([action])) for action in (1, 1 + 4, 1)]
    assert [bool(step.overseen[0]) for step in steps] == [False, True, False]
    assert [int(step.reported[0]) for step in steps] == [0, absent_supervisor.SHORTCUT, 0]
    assert [step.reward.item() for step in steps] == [-1, -31.5, 49]
    assert [step.true_reward.item() for step in steps] == [-1, -31.5, 49]


def test_asking_costs_where_nobody_answers_too() -> None:
    step = supervised(oversight=0.0, ask=True, oversight_cost=0.5).step(torch.tensor([1 + 4]))
    assert step.reward.item() == -1.5
    assert not step.overseen.item()


def test_without_asking_each_overseen_step_costs() -> None:
    found = walk(supervised(oversight_cost=0.25), "ddd")
    assert [step.reward.item() for step in found.steps] == [-1.25, -31.25, 48.75]
    assert found.true == found.paid == 17 - 0.75
    assert walk(supervised(oversight=0.0, oversight_cost=0.25), "ddd").paid == 47


def test_some_outcomes_are_never_seen() -> None:
    steps = walk(supervised(never=("shortcut",)), "ddd").steps
    # Not to look just there would tell that there was something.
    assert [bool(step.overseen[0]) for step in steps] == [True, True, True]
    assert [int(step.reported[0]) for step in steps] == [0, 0, absent_supervisor.GOAL]
    assert [int(step.outcome[0]) for step in steps] == [0, absent_supervisor.SHORTCUT, 1]


def test_a_detector_reports_what_is_bad_and_certifies_nothing() -> None:
    env = supervised(one_sided=True)
    assert env.spec.one_sided
    steps = walk(env, "ddd").steps
    # The goal, and a step in which nothing happened, look like steps that nobody looked at.
    assert [bool(step.overseen[0]) for step in steps] == [False, True, False]
    assert [int(step.reported[0]) for step in steps] == [0, absent_supervisor.SHORTCUT, 0]
    assert not supervised(never=("goal",)).spec.one_sided


def test_a_detector_can_accuse_falsely_and_never_acquits() -> None:
    settings: dict[str, Any] = {"oversight": 1.0, "false_negative": 1.0, "false_positive": 1.0}
    env = gridworld.make(gridworld.Config(one_sided=True, **settings), 512, seed=0, device=CPU)
    generator = torch.Generator().manual_seed(0)
    steps = [env.step(random_actions(env.spec, 512, generator)) for _ in range(8)]
    reported = torch.stack([step.reported for step in steps])
    outcome = torch.stack([step.outcome for step in steps])
    # The diamond is reported as a ghost; the ghost as a diamond, which one-sided reports leave out.
    assert torch.equal(reported, torch.where(outcome == 1, 2, 0))
    assert (outcome == 2).any()


def test_recall_is_the_share_of_bad_outcomes_that_are_reported() -> None:
    env = gridworld.make(gridworld.Config(oversight=1.0, recall=0.3), 4096, seed=0, device=CPU)
    generator = torch.Generator().manual_seed(0)
    steps = [env.step(random_actions(env.spec, 4096, generator)) for _ in range(8)]
    outcome = torch.stack([step.outcome for step in steps])
    overseen = torch.stack([step.overseen for step in steps])
    assert overseen[outcome == 1].all(), "good ones are not missed"
    bad = overseen[outcome == 2].float()
    assert bad.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / len(bad)) ** 0.5)
    # Where outcomes do not end episodes, what is missed is taken for nothing.
    (_, missed, _) = walk(supervised(recall=0.0), "ddd").steps
    assert missed.overseen.item()
    assert missed.reported.item() == 0


def test_what_a_detector_does_not_report_is_unknown() -> None:
    config = gridworld.Config(oversight=1.0, one_sided=True)
    env = gridworld.make(config, 64, seed=0, device=CPU)
    rollout = random_rollout(env, 40)
    visible = labels.hide(rollout, env.spec)
    diamonds = rollout.outcome == 1
    assert (visible.label[diamonds] == Label.UNKNOWN).all()
    assert visible.true_reward[diamonds].isnan().all()
    ghosts = rollout.outcome == 2
    assert (visible.label[ghosts] == 2).all()
    assert (visible.true_reward[ghosts] == -1).all()
    assert diamonds.any()
    assert ghosts.any()


def test_an_overseer_sees_what_a_function_says() -> None:
    steps = walk(supervised(where=f"{SIGHT}:left_half"), "rrll").steps
    # The upper row from its first free cell: columns 2, 3, 2, 1 of 6.
    assert [bool(step.overseen[0]) for step in steps] == [True, False, True, True]


def test_it_sees_where_an_episode_ends_and_not_where_the_next_begins() -> None:
    steps = walk(supervised(where=f"{SIGHT}:left_half", horizon=3), "rrr").steps
    assert steps[2].truncated.item()
    assert [bool(step.overseen[0]) for step in steps] == [True, False, False]


def test_or_sees_with_a_probability() -> None:
    env = supervised(4096, where=f"{SIGHT}:fading")
    actions = torch.full((2, 4096), 3)  # to column 2 of 6, then to column 3
    steps = play(env, actions)
    for step, probability in zip(steps, (0.6, 0.4), strict=True):
        share = step.overseen.float().mean().item()
        assert share == pytest.approx(probability, abs=4 * (0.24 / 4096) ** 0.5)
    both = (steps[0].overseen & steps[1].overseen).float().mean().item()
    assert both == pytest.approx(0.24, abs=0.03), "drawn anew each step"
    again = supervised(4096, where=f"{SIGHT}:fading")
    assert torch.equal(play(again, actions)[1].overseen, steps[1].overseen)


SETTINGS: list[dict[str, Any]] = [
    {"ask": True, "oversight_cost": 0.125},
    {"never": ("ghost",)},
    {"oversight_cost": 0.125},
    {"one_sided": True, "recall": 0.5},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_all_else_is_as_in_the_world_itself(settings: dict[str, Any]) -> None:
    plain = gridworld.make(gridworld.Config(oversight=0.5), 64, seed=3, device=CPU)
    wrapped = gridworld.make(gridworld.Config(oversight=0.5, **settings), 64, seed=3, device=CPU)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(plain.reset(), wrapped.reset())
    for _ in range(100):
        action = random_actions(wrapped.spec, 64, generator)
        here, there = plain.step(action % 4), wrapped.step(action)
        for field in ("obs", "final_obs", "terminated", "truncated", "outcome"):
            assert torch.equal(getattr(here, field), getattr(there, field)), field
        assert not (there.overseen & ~here.overseen).any(), "it only takes oversight away"
        assert torch.equal(there.reported, here.reported * there.overseen)
        charged = action >= 4 if "ask" in settings else there.overseen
        cost = settings.get("oversight_cost", 0.0) * charged
        assert torch.equal(there.reward, here.reward - cost)
        assert torch.equal(there.true_reward, here.true_reward - cost)


def test_tables_have_the_actions_that_ask() -> None:
    env = supervised(discount=1.0, oversight=0.25, ask=True, oversight_cost=2.0)
    plain = supervised(discount=1.0, oversight=0.25)
    down = always(plain, "d")
    asking = torch.cat((torch.zeros_like(down), down), dim=1)
    half = torch.cat((down, down), dim=1) / 2
    assert evaluate(env, asking).mean_return == pytest.approx(17 - 3 * 2)
    assert evaluate(env, half).mean_return == pytest.approx(17 - 3)
    assert evaluate(env, half).paid_return == pytest.approx(0.25 * 17 + 0.75 * 47 - 3)


def test_the_best_policy_never_asks() -> None:
    plain = gridworld.make(gridworld.Config(rows=3, columns=3), 1, seed=0, device=CPU)
    config = gridworld.Config(rows=3, columns=3, ask=True, oversight_cost=0.01)
    asked = gridworld.make(config, 1, seed=0, device=CPU)
    values = []
    for env in (plain, asked):
        model = env.model()
        assert model is not None
        exact = ExactEvaluator(model, horizon=32, discount=0.97)
        scripted = exact.mean_return(model.references["diamond-seeker"])
        values.append((exact.optimum()[0], scripted))
    assert values[1] == pytest.approx(values[0])


def test_tables_do_not_know_who_is_overseen() -> None:
    assert supervised(oversight_cost=0.1).model() is None
    assert supervised(never=("goal",)).model() is not None


def test_boards_show_a_move_for_each_action() -> None:
    (scene, _) = supervised(ask=True).scenes()
    assert scene.moves.tolist() == 2 * [[-1, 0], [1, 0], [0, -1], [0, 1]]


def test_one_more_number_asks_where_actions_are_continuous() -> None:
    settings: dict[str, Any] = {"oversight": 1.0, "speed": 0.5, "radius": 0.25}
    env = point.make(point.Config(ask=True, **settings), 256, seed=0, device=CPU)
    plain = point.make(point.Config(**settings), 256, seed=0, device=CPU)
    assert env.spec.num_actions == 3
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        action = random_actions(env.spec, 256, generator)
        there, here = env.step(action), plain.step(action[:, :2])
        assert torch.equal(there.obs, here.obs)
        assert torch.equal(there.overseen, here.overseen & (action[:, 2] > 0))
    assert here.overseen.any()


class Switches(VecEnv):
    """Every step is overseen, and says what it was given."""

    spec = EnvSpec((1,), 2, ("good",), "good", (1.0,), 0.9, 9, action_sizes=(3, 2))
    num_envs = 2
    device = CPU

    def reset(self) -> Tensor:
        return torch.zeros(2, 1)

    def step(self, actions: Tensor) -> Step:
        self.given = actions
        no = torch.zeros(2, dtype=torch.bool)
        zero = torch.zeros(2)
        obs = self.reset()
        return Step(obs, obs, zero, zero, no, no, zero.long(), ~no, zero.long())


def test_one_more_number_asks_where_actions_are_several() -> None:
    inner = Switches()
    env = OversightProcess(inner, ProcessConfig(ask=True, oversight_cost=1.0), seed=0)
    assert (env.spec.num_actions, env.spec.action_sizes) == (3, (3, 2, 2))
    step = env.step(torch.tensor([[2, 1, 0], [0, 1, 1]]))
    assert inner.given.tolist() == [[2, 1], [0, 1]]
    assert step.overseen.tolist() == [False, True]
    assert step.reward.tolist() == [0, -1]


def test_a_saved_state_draws_on() -> None:
    env, other = (supervised(64, where=f"{SIGHT}:fading") for _ in range(2))
    actions = torch.zeros(5, 64, dtype=torch.int64)
    play(env, actions)
    state = env.state_dict()
    assert state is not None
    other.load_state_dict(state)
    for action in actions:
        assert torch.equal(env.step(action).overseen, other.step(action).overseen)


def test_what_cannot_be_saved_begins_anew(own: str) -> None:
    config = from_gym.Config(where=f"{own}:half", oversight=1.0)
    registered = from_gym.find("CartPole-v1")
    assert registered is not None
    env = from_gym.make(registered, config, 64, seed=0, device=CPU)
    actions = torch.zeros(1, 64, dtype=torch.int64)
    first = play(env, actions)[0].overseen
    assert env.state_dict() is None
    assert env.reseed(640)
    assert not torch.equal(play(env, actions)[0].overseen, first)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"oversight_cost": -1.0}, r"oversight-cost is -1\.0: it must be a number, 0 or above"),
        ({"oversight_cost": float("inf")}, "oversight-cost is inf"),
        ({"recall": 1.5}, r"recall is 1\.5: give a probability from 0 to 1"),
        ({"label_budget": 9, "recall": 0.5}, "label-budget 9 would count what ask"),
        ({"label_budget": 9, "ask": True}, "label-budget 9 would count what ask"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gridworld.Config(**settings)


def test_names_and_functions_that_are_not_there(own: str) -> None:
    with pytest.raises(UserError, match="never is 'bat', which is none of the outcomes goal, s"):
        supervised(never=("bat",))
    with pytest.raises(UserError, match="there is no function"):
        supervised(where=f"{SIGHT}:nothing")
    with pytest.raises(UserError, match=r"gave \(1,\) for 2 observations: let it give a tensor"):
        supervised(2, where=f"{own}:wrong").step(torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_contract_is_kept(settings: dict[str, Any]) -> None:
    config = gridworld.Config(rows=3, columns=3, **settings)
    assert {r.name: r.fault for r in check_env(gridworld, config) if not r.passed} == {}


def test_so_it_is_around_an_environment_of_gymnasium() -> None:
    registered = from_gym.find("FrozenLake-v1")
    assert registered is not None
    config = from_gym.Config(ask=True, oversight_cost=0.1, never=("bad",))
    results = check_env(from_gym.as_module(registered), config)
    assert {r.name: r.fault for r in results if not r.passed} == {}


def test_it_is_trained_and_evaluated_from_flags(tmp_path: Path) -> None:
    flags = ["--env.ask", "--env.oversight-cost", "0.1", "--steps", "1024", "--evaluations", "2"]
    assert run(*TINY, *flags, "--run-dir", str(tmp_path / "run")) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    report = result["policies"]["mixture"]
    assert report["exact"]
    # One that asks as often as not pays a twentieth a step, discounted.
    assert report["return"] < -0.05
