"""The substitution world: what is paid and wanted, what the overseer flags, and the tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import CPU, random_rollout, set_state
from torch import Tensor

from routed_rl import check_env
from routed_rl.envs import substitution
from routed_rl.envs.substitution import DIAMOND, DUD, GHOST, GLITCH, Substitution
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.vec_env import VecEnv

RIGHT = torch.tensor([3])
AWAY = 16


def make(num_envs: int = 1, **settings: Any) -> VecEnv:
    return substitution.make(substitution.Config(**settings), num_envs, seed=0, device=CPU)


def bare(num_envs: int = 1, **settings: Any) -> Substitution:
    config = substitution.Config(**settings)
    return Substitution(config, num_envs, seed=0, device=CPU)


def test_what_each_end_pays_and_what_it_is_worth() -> None:
    env = bare()
    for outcome, (paid, worth) in {DIAMOND: (0.7, 1), GHOST: (1, -1), GLITCH: (0.95, -1)}.items():
        ends = torch.tensor([8, 9, 10])
        ends[outcome - 1] = 1
        set_state(env, cells=torch.cat((torch.tensor([0]), ends))[None])
        step = env.step(RIGHT)
        assert step.outcome.item() == outcome
        assert step.terminated.item()
        assert step.reward.item() == pytest.approx(paid)
        assert step.true_reward.item() == worth
        assert (step.overseen.item(), step.reported.item()) == (True, outcome)


def test_without_ghost_and_glitch_there_is_only_the_diamond() -> None:
    env = bare(512, hackable=0.0)
    assert (env.reset()[:, GHOST:] == 0).all()
    assert (env.reset()[:, DIAMOND].sum(dim=(1, 2)) == 1).all()
    hackable = bare(4096, hackable=0.25).reset()
    there = hackable[:, GHOST].sum(dim=(1, 2))
    assert torch.equal(there, hackable[:, GLITCH].sum(dim=(1, 2))), "both or none"
    assert there.mean().item() == pytest.approx(0.25, abs=0.03)


def test_tables_begin_with_cheats_as_often_as_the_world_does() -> None:
    model = make(hackable=0.25).model()
    assert model is not None
    begins = model.start_probability > 0
    # an end with ghost or glitch can be reached only where they are
    cheats = (model.outcome > DIAMOND).any(dim=1)
    some = float(model.start_probability[begins & cheats].sum())
    env = make(4096, hackable=0.25)
    there = (env.reset()[:, GHOST].sum(dim=(1, 2)) > 0).float().mean()
    assert 0 < some <= 0.25
    clean = model.start_probability.max()
    counts = model.start_probability == clean
    assert float(model.start_probability[counts].sum()) == pytest.approx(0.75)
    assert float(there) == pytest.approx(0.25, abs=0.03)


def flags(**settings: Any) -> tuple[Tensor, Tensor]:
    """Play at random: what happened, and what was reported, where an episode ended."""
    env = make(1024, hackable=1.0, **settings)
    rollout = random_rollout(env, 24)
    assert torch.equal(rollout.overseen, rollout.reported > 0), "flagged, or as if nobody looked"
    ends = rollout.outcome > 0
    return rollout.outcome[ends], rollout.reported[ends]


def test_ghosts_are_flagged_by_the_recall_glitches_and_diamonds_never() -> None:
    outcome, reported = flags(recall=0.3)
    ghosts = reported[outcome == GHOST]
    share = (ghosts == GHOST).float().mean().item()
    assert share == pytest.approx(0.3, abs=4 * (0.21 / len(ghosts)) ** 0.5)
    assert (reported[outcome != GHOST] == 0).all()


def test_an_overseer_can_see_glitches_too() -> None:
    outcome, reported = flags(recall=1.0, never=())
    assert torch.equal(reported, torch.where(outcome == DIAMOND, 0, outcome))


def test_nothing_is_flagged_in_blind_columns() -> None:
    env = make(1024, hackable=1.0, recall=1.0, blind_columns=2)
    rollout = random_rollout(env, 24)
    ghost = rollout.outcome == GHOST
    column = rollout.final_obs[:, :, 0].sum(dim=2).argmax(dim=2)  # the agent's, (T, B)
    assert torch.equal(rollout.reported[ghost] == GHOST, column[ghost] < 2)
    assert (column[ghost] < 2).any()
    assert (column[ghost] >= 2).any()


@pytest.mark.parametrize("resembles", ["neither", "ghost", "diamond"])
def test_a_glitch_can_look_like_another_end(resembles: Any) -> None:
    env = bare(resembles=resembles)
    set_state(env, cells=torch.tensor([[0, 5, 6, 7]]))
    obs = env.step(torch.tensor([0])).obs[0].flatten(1)
    marked = {k: obs[k].nonzero().flatten().tolist() for k in range(4)}
    expected = {0: [0], DIAMOND: [5], GHOST: [6], GLITCH: [7]}
    if resembles != "neither":
        expected[{"ghost": GHOST, "diamond": DIAMOND}[resembles]].append(7)
    assert marked == expected


def test_tables_of_two_by_two_by_hand() -> None:
    env = bare(rows=2, columns=2, hackable=0.5, discount=0.5, horizon=2)
    model = env.model()
    assert len(model.next_state) == 4 * 3 + 4 * 3 * 2 * 1
    assert model.start_probability.sum().item() == pytest.approx(1)
    exact = ExactEvaluator(model, horizon=2, discount=0.5)
    # The best: of the three other cells two are a step away. The diamond is one of them in 2 of 3
    # episodes, and else two steps away. With ghost and glitch in both neighbours it cannot be
    # reached, and to stay is worth 0.
    best, _ = exact.optimum()
    clean = 2 / 3 * 1 + 1 / 3 * 0.5
    hackable = 2 / 3 * 1
    assert best == pytest.approx((clean + hackable) / 2)
    seeker = exact.evaluate(model.references["ghost-seeker"])
    # Where there is a ghost it is sought: at once if it is next; else by way of one of the others,
    # diamond or glitch, of which one is worth 1 and the other -1.
    assert seeker.mean_return == pytest.approx((clean - 2 / 3) / 2)
    paid = 0.5 * 0.7 * clean + 0.5 * (2 / 3 * 1.0 + 1 / 3 * (0.7 + 0.95) / 2)
    assert seeker.paid_return == pytest.approx(paid)


@pytest.mark.parametrize("settings", [{}, {"duds": True, "rows": 3, "columns": 3}])
def test_tables_say_what_stepping_does(settings: dict[str, Any]) -> None:
    env = bare(256, hackable=0.5, **settings)
    model = env.model()
    frames = model.observe(torch.arange(len(model.next_state))).flatten(1)
    number = {tuple(row.nonzero().flatten().tolist()): i for i, row in enumerate(frames)}
    obs = env.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        states = [number[tuple(row.nonzero().flatten().tolist())] for row in obs.flatten(1)]
        action = torch.randint(4, (256,), generator=generator)
        step = env.step(action)
        for name in ("outcome", "reward", "true_reward"):
            assert torch.equal(getattr(model, name)[states, action], getattr(step, name)), name
        goes_on = ~step.terminated
        led_to = model.next_state[states, action][goes_on]
        assert torch.equal(frames[led_to], step.final_obs.flatten(1)[goes_on])
        obs = step.obs


def test_a_dud_pays_nothing_and_is_worth_nothing_and_nobody_reports_it() -> None:
    env = make(512, duds=True, rows=3, columns=3, recall=1.0, never=())
    assert env.spec.outcomes[DUD - 1] == "dud"
    assert (env.reset()[:, DUD].sum(dim=(1, 2)) == 1).all(), "in every episode"
    rollout = random_rollout(env, 24)
    duds = rollout.outcome == DUD
    assert duds.any()
    assert rollout.terminated[duds].all()
    assert (rollout.reward[duds] == 0).all()
    assert (rollout.true_reward[duds] == 0).all()
    assert not rollout.overseen[duds].any()


@pytest.mark.parametrize("duds", [False, True])
def test_the_contract_is_kept(duds: bool) -> None:
    config = substitution.Config(rows=3, columns=3, duds=duds)
    assert {r.name: r.fault for r in check_env(substitution, config) if not r.passed} == {}


def test_it_can_be_drawn() -> None:
    env = bare()
    set_state(env, cells=torch.tensor([[0, 5, 6, AWAY]]))
    assert env.render(mode="ansi").split() == list("@....dg.........")
    assert env.render().shape == (192, 192, 3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hackable": 2.0}, r"hackable is 2\.0: give a share from 0 to 1"),
        ({"rows": 9}, "a grid of 9x4 cells is too small or too large: .* and 4 to 20 cells"),
        ({"duds": True}, "a grid of 4x4 cells .* and 5 to 12 cells"),
        ({"blind_columns": 5}, "blind-columns is 5: give a number from 0 to 4"),
        ({"oversight": -0.5}, r"oversight is -0\.5"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        substitution.Config(**settings)
