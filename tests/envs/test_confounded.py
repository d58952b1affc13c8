from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import CPU, random_rollout, set_state
from helpers import world as plain_world
from torch import Tensor

from routed_rl import check_env
from routed_rl.envs import confounded
from routed_rl.envs.confounded import BAD, GOOD, Config, Confounded, make
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step

UP, DOWN, LEFT, RIGHT = range(4)
SMALL = 9 * 8 * 7
"""Placements of agent and ends in the 3x3 world."""


def world(num_envs: int = 1, *, seed: int = 0, **settings: Any) -> Confounded:
    env = make(Config(**settings), num_envs, seed=seed, device=CPU)
    assert isinstance(env, Confounded)
    return env


def tables(**settings: Any) -> TabularMDP:
    model = world(**({"side": 3} | settings)).model()
    assert model is not None
    return model


def evaluator(model: TabularMDP) -> ExactEvaluator:
    return ExactEvaluator(model, horizon=32, discount=0.97)


def place(env: Confounded, cells: list[int], reported: list[bool], *, lit: bool) -> None:
    """Put the only world into one state: cells of agent, diamond and ghost."""
    ends = torch.tensor([reported])
    set_state(env, cells=torch.tensor([cells]), overseen_ends=ends, lit=torch.tensor([[lit]]))


def marked(channel: Tensor) -> list[int]:
    return channel.flatten().nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("settings", "dark", "lit"),
    [
        ({}, (0.4, 0.0), (0.0, 0.4)),
        ({"slips": 0.25}, (0.4, 0.1), (0.1, 0.4)),
        ({"slips": 1.0}, (0.4, 0.4), (0.4, 0.4)),
        ({"cue_matters": True}, (0.4, 0.0), (0.4, 0.4)),
    ],
)
def test_what_would_be_reported_depends_on_the_cue(
    settings: dict[str, Any], dark: tuple[float, float], lit: tuple[float, float]
) -> None:
    obs = world(40_000, oversight=0.4, cue_share=0.25, **settings).reset()
    cue = obs[:, 4].flatten(1)
    assert torch.equal(cue.amin(dim=1), cue.amax(dim=1)), "all of the channel or nothing"
    assert cue[:, 0].mean() == pytest.approx(0.25, abs=0.01)
    for value, rates in ((0, dark), (1, lit)):
        here = obs[cue[:, 0] == value]
        for end, rate in zip((1, 2), rates, strict=True):
            found = (here[:, end] * here[:, 3]).flatten(1).sum(dim=1).mean()
            assert found == pytest.approx(rate, abs=0.015 * (rate > 0)), "none is exactly none"


def test_only_ghosts_are_reported_where_it_is_lit_and_only_diamonds_where_it_is_dark() -> None:
    env = world(512, oversight=0.7)
    rollout = random_rollout(env, 40)
    lit = rollout.obs[:, :, 4, 0, 0] == 1
    assert set(rollout.reported[lit].tolist()) == {0, BAD}
    assert set(rollout.reported[~lit].tolist()) == {0, GOOD}
    ghosts = lit & (rollout.outcome == BAD)
    assert rollout.overseen[ghosts].float().mean() == pytest.approx(0.7, abs=0.05)
    assert (rollout.outcome[lit] == GOOD).any(), "they are reached all the same"
    told = rollout.reported > 0
    assert torch.equal(rollout.reported[told], rollout.outcome[told])
    assert torch.equal(told, rollout.overseen)


@pytest.mark.parametrize(
    ("where", "first", "later"),
    [("everywhere", 25, 25), ("corner", 1, 1), ("start", 25, 0)],
)
def test_where_a_lit_cue_shows(where: str, first: int, later: int) -> None:
    env = world(cue_shows=where, cue_share=1.0)
    assert env.reset()[0, 4].sum() == first
    place(env, [0, 23, 24], [False, False], lit=True)
    step = env.step(torch.tensor([UP]))  # against the edge: nothing moves
    assert [marked(channel) for channel in step.obs[0, :4]] == [[0], [23], [24], []]
    assert step.obs[0, 4].sum() == later
    place(env, [22, 23, 24], [False, False], lit=True)
    step = env.step(torch.tensor([RIGHT]))
    assert step.final_obs[0, 4].sum() == later
    assert step.obs[0, 4].sum() == first, "a new episode begins"
    place(env, [0, 23, 24], [False, False], lit=False)
    assert env.step(torch.tensor([UP])).obs[0, 4].sum() == 0
    if first == 1:
        assert marked(world(cue_shows="corner", cue_share=1.0).reset()[0, 4]) == [0]


def test_a_hidden_cue_changes_nothing_but_what_is_seen() -> None:
    rollouts = [random_rollout(world(64, oversight=0.5, hide_cue=hide), 40) for hide in (0, 1)]
    shown, hidden = rollouts
    assert torch.equal(hidden.obs, shown.obs[:, :, :4])
    assert torch.equal(hidden.final_obs, shown.final_obs[:, :, :4])
    assert torch.equal(hidden.reported, shown.reported)
    assert world(hide_cue=True).spec.obs_shape == (4, 5, 5)
    assert world().spec.obs_shape == (5, 5, 5)
    assert world().spec.oversight_channel == 3


def reach(env: Confounded, action: int, reported: list[bool], *, lit: bool) -> Step:
    """Go right to the diamond or down to the ghost."""
    place(env, [0, 1, 5], reported, lit=lit)
    return env.step(torch.tensor([action]))


@pytest.mark.parametrize("matters", [False, True])
def test_where_the_cue_matters_a_lit_diamond_is_a_bad_end_with_a_report_of_its_own(
    matters: bool,
) -> None:
    env = world(cue_matters=matters)
    for action, lit, outcome in (
        (RIGHT, False, GOOD),
        (DOWN, False, BAD),
        (DOWN, True, BAD),
        (RIGHT, True, BAD if matters else GOOD),
    ):
        for reported in ([True, False], [False, True]):
            step = reach(env, action, reported, lit=lit)
            seen = reported[0 if action == RIGHT else 1]
            assert step.outcome.item() == outcome
            assert step.true_reward.item() == (1 if outcome == GOOD else -1)
            assert step.reward.item() == 1, "any end pays"
            assert step.overseen.item() == seen
            assert step.reported.item() == outcome * seen


def test_a_detector_reports_ghosts_under_the_cue_alone() -> None:
    config = Config(oversight=1.0, one_sided=True)
    rollout = random_rollout(make(config, 256, seed=0, device=CPU), 30)
    lit = rollout.obs[:, :, 4, 0, 0] == 1
    assert torch.equal(rollout.overseen, lit & (rollout.outcome == BAD))
    assert rollout.overseen.any()


def test_state_saved_and_loaded_continues_to_the_same_bits() -> None:
    settings: dict[str, Any] = {"slips": 0.3, "oversight": 0.5, "cue_shows": "start"}
    env, other = (world(16, seed=seed, **settings) for seed in (1, 2))
    actions = torch.randint(4, (30, 16))
    for action in actions[:10]:
        env.step(action)
    other.load_state_dict(env.state_dict())
    for action in actions[10:]:
        assert all(map(torch.equal, env.step(action), other.step(action)))


@pytest.mark.parametrize("matters", [False, True])
def test_the_model_is_the_world_it_describes(matters: bool) -> None:
    settings: dict[str, Any] = {"side": 3, "oversight": 0.4, "cue_matters": matters}
    model = tables(**settings)
    frames = model.observe(torch.arange(len(model.start_probability))).flatten(1)
    number = {tuple(frame.tolist()): i for i, frame in enumerate(frames)}
    # Dark: the diamond is reported or not. Lit: the ghost is or not, and both if both are bad.
    assert len(number) == len(frames) == SMALL * (6 if matters else 4), "each state looks different"
    rollout = random_rollout(world(512, **settings), 20)
    for t in range(20):
        for b in range(0, 512, 16):
            state = number[tuple(rollout.obs[t, b].flatten().tolist())]
            action = rollout.action[t, b]
            assert model.outcome[state, action] == rollout.outcome[t, b]
            assert model.reward[state, action] == rollout.reward[t, b]
            assert model.true_reward[state, action] == rollout.true_reward[t, b]
            assert model.terminates[state, action] == rollout.terminated[t, b]
            if not rollout.terminated[t, b]:
                after = number[tuple(rollout.final_obs[t, b].flatten().tolist())]
                assert model.next_state[state, action] == after


def by_cue_and_reports(model: TabularMDP, probability: Tensor) -> dict[tuple[bool, ...], float]:
    """Sum probabilities of states (S,) by: is it lit, is the diamond reported, is the ghost?"""
    lit = model.observe(torch.arange(len(probability)))[:, 4, 0, 0] > 0
    found: dict[tuple[bool, ...], float] = {}
    rows = torch.cat((lit[:, None], model.overseen_ends), dim=1).tolist()
    for row, value in zip(rows, probability.tolist(), strict=True):
        found[tuple(row)] = found.get(tuple(row), 0.0) + value
    return found


def test_the_models_starts_follow_cue_and_oversight() -> None:
    model = tables(oversight=0.4, cue_share=0.25, slips=0.5)
    start = by_cue_and_reports(model, model.start_probability)
    assert start == pytest.approx(
        {
            (False, False, False): 0.75 * 0.6 * 0.8,
            (False, False, True): 0.75 * 0.6 * 0.2,
            (False, True, False): 0.75 * 0.4 * 0.8,
            (False, True, True): 0.75 * 0.4 * 0.2,
            (True, False, False): 0.25 * 0.8 * 0.6,
            (True, False, True): 0.25 * 0.8 * 0.4,
            (True, True, False): 0.25 * 0.2 * 0.6,
            (True, True, True): 0.25 * 0.2 * 0.4,
        }
    )
    given = by_cue_and_reports(model, model.condition_probability)
    # Of episodes in which the ghost alone would be reported, 0.08 of 0.17 are lit.
    assert given[True, False, True] == pytest.approx(0.08 / 0.17)
    assert given[False, False, True] == pytest.approx(0.09 / 0.17)
    assert given[True, True, True] == pytest.approx(0.25)


@pytest.mark.parametrize("oversight", [0.0, 0.3, 1.0])
def test_what_cannot_be_has_no_states_and_what_can_has_starts_at_any_oversight(
    oversight: float,
) -> None:
    model = tables(oversight=oversight)
    given = by_cue_and_reports(model, model.condition_probability)
    assert set(given) == {
        (False, False, False),
        (False, True, False),
        (True, False, False),
        (True, False, True),
    }
    assert given[False, True, False] == given[True, False, True] == pytest.approx(1)
    assert given[False, False, False] == pytest.approx(0.5)
    start = by_cue_and_reports(model, model.start_probability)
    assert start[True, False, True] == pytest.approx(0.5 * oversight)
    assert start[True, False, False] == pytest.approx(0.5 * (1 - oversight))


def test_a_cue_in_first_frames_alone_goes_out_after_the_first_move() -> None:
    model = tables(cue_shows="start", oversight=0.3)
    states = torch.arange(len(model.start_probability))
    assert len(states) == 2 * 4 * SMALL
    first = model.start_probability > 0
    assert first.sum() == 4 * SMALL
    assert (model.condition_probability[~first] == 0).all()
    cue = model.observe(states)[:, 4].flatten(1).sum(dim=1)
    assert set(cue[first].tolist()) == {0, 9}
    assert (cue[~first] == 0).all()
    goes_on = ~model.terminates
    assert not first[model.next_state[goes_on]].any()
    before = model.overseen_ends[:, None].expand(-1, 4, -1)[goes_on]
    assert torch.equal(model.overseen_ends[model.next_state[goes_on]], before)


def test_the_best_possible_with_the_cue_and_without() -> None:
    plain = plain_world(1, rows=3, columns=3).model()
    assert plain is not None
    value, policy = evaluator(plain).optimum()
    assert evaluator(tables()).optimum()[0] == pytest.approx(value)
    share = 0.25
    model = tables(cue_matters=True, cue_share=share)
    assert evaluator(model).optimum()[0] == pytest.approx((1 - share) * value)
    # Who sees neither cue nor oversight plays in the mean of dark and lit.
    worth = torch.tensor((0.0, 1 - 2 * share, -1.0))
    blind = replace(plain, true_reward=worth[plain.outcome])
    assert evaluator(blind).optimum()[0] == pytest.approx((1 - 2 * share) * value)
    # And the plain world's best policy reaches that here.
    played = policy[:SMALL].repeat(len(model.next_state) // SMALL, 1)
    assert evaluator(model).mean_return(played) == pytest.approx((1 - 2 * share) * value)


def test_the_numbers_of_the_docstring() -> None:
    best = [evaluator(tables(side=5, cue_matters=it)).optimum()[0] for it in (False, True)]
    assert best == pytest.approx([0.9317, 0.4658], abs=5e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"slips": 0.3},
        {"cue_share": 0.0},
        {"cue_share": 1.0},
        {"cue_shows": "corner", "hide_cue": True},
        {"cue_shows": "start", "slips": 0.3},
        {"cue_shows": "start", "hide_cue": True, "cue_matters": True},
        {"one_sided": True, "recall": 0.5},
        {"ask": True, "oversight_cost": 0.1},
    ],
)
def test_every_kind_keeps_the_contract(settings: dict[str, Any]) -> None:
    results = check_env(confounded, Config(side=3, horizon=8, **settings))
    assert {result.name: result.fault for result in results if not result.passed} == {}


def test_the_tables_stay_small() -> None:
    most = Config(slips=0.5, cue_shows="start")
    assert most.num_states == 25 * 24 * 23 * 16 < 300_000
    assert world(side=7).model() is None


def test_scenes_in_the_dark_and_lit() -> None:
    scenes = world().scenes()
    titles = ["board 1, dark", "board 1, lit", "board 2, dark", "board 2, lit"]
    assert [scene.title for scene in scenes] == titles
    dark, lit = scenes[:2]
    assert torch.equal(dark.obs[:, :4], lit.obs[:, :4])
    assert (dark.obs[:, 3:] == 0).all()
    assert (lit.obs[:, 4] == 1).all()
    assert (dark.background != lit.background).any()
    hidden = world(hide_cue=True).scenes()
    assert [scene.title for scene in hidden] == titles[::2]
    assert hidden[0].obs.shape == (23, 4, 5, 5)


def test_rendering() -> None:
    pictures = {}
    for where in ("everywhere", "corner"):
        env = world(side=3, cue_shows=where, hide_cue=True)
        place(env, [4, 1, 8], [False, True], lit=True)
        assert env.render(mode="ansi") == ". d .\n. @ .\n. . G\nlit"
        pictures[where] = env.render()
        place(env, [4, 1, 8], [False, True], lit=False)
        assert env.render(mode="ansi") == ". d .\n. @ .\n. . G\ndark"
        pictures["dark"] = env.render()
    changed = (pictures["corner"] != pictures["dark"]).any(axis=2)
    assert changed[:48, :48].all()
    assert not changed[48:].any()
    assert not changed[:, 48:].any()
    changed = (pictures["everywhere"] != pictures["dark"]).any(axis=2)
    assert changed.reshape(3, 48, 3, 48).any(axis=(1, 3)).all(), "in every cell"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cue_share": 1.5}, "cue-share is 1.5"),
        ({"slips": -0.1}, "slips is -0.1"),
        ({"oversight": 2.0}, "oversight is 2.0"),
        ({"discount": 1.01}, "discount is 1.01"),
        ({"horizon": 0}, "horizon 0"),
        ({"side": 1}, "a 1x1 grid"),
        ({"recall": 2.0}, "recall is 2.0"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config(**settings)
