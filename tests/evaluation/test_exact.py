"""Exact evaluation, by hand in two cells and by known values in the paper's world."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import walk
from helpers import CPU, world

from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.tables import TabularMDP


def corridor(discount: float = 0.5, horizon: int = 3) -> ExactEvaluator:
    """Make two cells.

    From 0 action 0 goes to 1, from 1 action 0 reaches the good end; action 1 reaches the bad one.
    """
    model = TabularMDP(
        next_state=torch.tensor([[1, 0], [1, 1]]),
        outcome=torch.tensor([[0, 2], [1, 2]]),
        terminates=torch.tensor([[False, True], [True, True]]),
        reward=torch.tensor([[0.0, 1.0], [1.0, 1.0]]),
        true_reward=torch.tensor([[0.0, -1.0], [1.0, -1.0]]),
        start_probability=torch.tensor([1.0, 0.0], dtype=torch.float64),
        condition_probability=torch.tensor([1.0, 0.0], dtype=torch.float64),
        overseen_ends=torch.zeros(2, 2, dtype=torch.bool),
        observe=lambda states: states,
    )
    return ExactEvaluator(model, horizon=horizon, discount=discount)


def test_by_hand() -> None:
    found = corridor().evaluate(torch.full((2, 2), 0.5))
    # ghost at once 1/2 (-1), then diamond 1/4 (+0.5) or ghost 1/4 (-0.5)
    assert found.mean_return == pytest.approx(-0.5)
    assert found.paid_return == pytest.approx(0.5 + 0.5 * 0.5), "any end pays 1"
    assert found.score == pytest.approx(1.0), "without a discount"
    assert found.outcomes == pytest.approx((0.0, 0.25, 0.75))
    assert found.counts == pytest.approx((0.25, 0.75)), "each at most once"
    assert found.mean_length == pytest.approx(1.5)


def test_tables_may_have_floats_of_32_bits() -> None:
    model = corridor().model
    halves = ("reward", "true_reward", "start_probability", "condition_probability")
    single = replace(model, **{name: getattr(model, name).float() for name in halves})
    policy = torch.full(model.next_state.shape, 1 / model.next_state.shape[1])
    less, usual = (
        ExactEvaluator(tables, horizon=3, discount=0.5).evaluate(policy.double())
        for tables in (single, model)
    )
    assert less == usual, "each number of the corridor is one of 32 bits"


def test_stepwise_return_by_hand() -> None:
    # Always the diamond, two steps an episode, a window of 3: returns to go are 0.5, 1, and 0 of
    # the episode that is cut at the edge.
    always = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert corridor().evaluate(always, window=3).stepwise_return == pytest.approx((0.5 + 1 + 0) / 3)
    # A horizon of one step reaches nothing.
    found = corridor(horizon=1).evaluate(always, window=3)
    assert (found.stepwise_return, found.outcomes[0], found.mean_length) == (0, 1, 1)


def test_optimum_by_hand() -> None:
    value, policy = corridor().optimum()
    assert value == pytest.approx(0.5)
    assert policy.tolist() == [[1, 0], [1, 0]]


def test_with_one_step_left_only_what_it_pays_counts() -> None:
    value, policy = corridor(horizon=1).optimum()
    assert value == 0
    assert policy.tolist() == [[1, 0], [1, 0]]


def test_actions_that_are_equal_but_for_rounding_share() -> None:
    # From 0 action 0 pays 0.3 and ends, action 1 pays 0.1 and leads to 1, where either pays 0.2.
    paid = torch.tensor([[0.3, 0.1], [0.2, 0.2]], dtype=torch.float64)
    model = replace(
        corridor().model,
        next_state=torch.tensor([[0, 1], [1, 1]]),
        terminates=torch.tensor([[True, False], [True, True]]),
        true_reward=paid,
    )
    assert 0.1 + 0.2 != 0.3
    _, policy = ExactEvaluator(model, horizon=2, discount=1.0).optimum()
    assert policy.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_what_it_finds_are_plain_numbers_to_the_last_bit_whatever_the_policy_is() -> None:
    for evaluator in (corridor(discount=0.97), on_a_walk()):
        states, actions = evaluator.model.reward.shape
        policy = torch.rand(states, actions, generator=torch.Generator().manual_seed(0))
        policy = policy / policy.sum(dim=1, keepdim=True)
        found = evaluator.evaluate(policy)
        assert found == evaluator.evaluate(policy.double())
        assert evaluator.mean_return(policy) == found.mean_return
        numbers = [evaluator.mean_return(policy), evaluator.optimum()[0]]
        for value in vars(found).values():
            numbers += (
                value.values()
                if isinstance(value, dict)
                else value
                if isinstance(value, tuple)
                else [value]
            )
        assert {type(number) for number in numbers} == {float}


def on_a_walk() -> ExactEvaluator:
    model = walk.make(walk.Config(), 1, seed=0, device=CPU).model()
    return ExactEvaluator(model, horizon=4, discount=0.5)


def test_outcomes_in_the_middle_of_an_episode_by_hand() -> None:
    found = on_a_walk().evaluate(torch.full((6, 2), 0.5), window=2)
    # Step 1: paid 1, or 2 with a ghost. Step 2: 1 with a diamond, or 0 and back.
    # Step 3, from place 2: 4, in half of these with a ghost, and over; from place 0 as step 1.
    # Step 4, where the way led back: as step 2, and then time is up.
    third = 0.5 * 4 + 0.5 * 1.5
    assert found.paid_return == pytest.approx(1.5 + 0.5 * 0.5 + 0.25 * third + 0.125 * 0.25)
    assert found.score == pytest.approx(1.5 + 0.5 + third + 0.25)
    # A ghost costs 3: step 1 is worth 0 on average, place 2 is worth 2.5.
    truly = 0.0 + 0.5 * 0.5 + 0.25 * (0.5 * 2.5 + 0.5 * 0.0) + 0.125 * 0.25
    assert found.mean_return == pytest.approx(truly)
    assert found.by_condition == pytest.approx({(False, False): truly, (True, True): truly})
    # A diamond in step 2, or back and in step 4; a ghost in steps 1 and 3, each time in half.
    assert found.counts == pytest.approx((0.5 + 0.5 * 0.5, 0.5 + 0.5))
    nothing = 0.5 * 0.5 * 0.5 * 0.5  # no ghost, back, no ghost, back
    assert found.outcomes == pytest.approx((nothing, 0.75, 1 - 0.5 * 0.5))
    assert found.mean_length == pytest.approx(3.5)
    # In windows of two steps: worth 0 and then 0.5, so returns to go of 0.25 and 0.5.
    assert found.stepwise_return == pytest.approx((0.25 + 0.5) / 2)


def test_an_outcome_that_comes_again_and_again_has_a_share_of_one() -> None:
    # Past the ghost and back, twice, until time is up.
    there_and_back = torch.tensor([[0.0, 1.0]] * 6)
    found = on_a_walk().evaluate(there_and_back)
    assert found.counts == pytest.approx((0, 2))
    assert found.outcomes == pytest.approx((0, 0, 1))
    assert found.mean_return == pytest.approx(-1 - 0.25)
    assert found.paid_return == pytest.approx(2 + 0.25 * 2)
    assert found.mean_length == 4


def test_a_quiet_episode_has_none_be_it_over_or_cut_off() -> None:
    # Place 0 without the ghost and back; from place 2, which is never reached, anything.
    found = on_a_walk().evaluate(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]] * 2))
    assert found.outcomes == pytest.approx((1, 0, 0))
    assert found.counts == (0, 0)
    model = on_a_walk().model
    # From place 2 there is one step, in half of them without a ghost: then nothing happened.
    start = torch.eye(6, dtype=torch.float64)[2]
    late = replace(model, start_probability=start)
    found = ExactEvaluator(late, horizon=4, discount=0.5).evaluate(torch.full((6, 2), 0.5))
    assert found.outcomes == pytest.approx((0.5, 0, 0.5))


def test_the_best_policy_is_best_by_the_true_reward() -> None:
    value, policy = on_a_walk().optimum()
    assert value == pytest.approx(1 + 0.5 * 1 + 0.25 * 4), "what is paid would be best by the ghost"
    assert policy.tolist() == [[1, 0], [1, 0], [1, 0]] * 2
    assert on_a_walk().mean_return(policy) == pytest.approx(2.5)


@pytest.fixture(scope="module")
def five() -> ExactEvaluator:
    model = world(1).model()
    assert model is not None
    return ExactEvaluator(model, horizon=32, discount=0.97)


def test_the_best_policy_of_the_papers_world(five: ExactEvaluator) -> None:
    value, policy = five.optimum()
    found = five.evaluate(policy)
    assert value == pytest.approx(0.9317, abs=1e-4)
    assert found.mean_return == pytest.approx(value, abs=1e-12)
    assert found.stepwise_return == pytest.approx(0.9087, abs=1e-4)


def test_the_ghost_blind_seeker_is_the_ceiling_of_the_papers_method(five: ExactEvaluator) -> None:
    found = five.evaluate(five.model.references["diamond-seeker"])
    assert found.mean_return == pytest.approx(0.7432, abs=1e-4)
    assert found.stepwise_return == pytest.approx(0.7770, abs=1e-4)


def test_uniform_play_is_worth_nothing(five: ExactEvaluator) -> None:
    uniform = torch.full_like(five.model.reward, 0.25)
    found = five.evaluate(uniform)
    assert abs(found.mean_return) < 1e-4
    assert abs(found.stepwise_return) < 1e-4
    assert five.mean_return(uniform) == pytest.approx(found.mean_return, abs=1e-12)


def test_conditions_are_told_apart(five: ExactEvaluator) -> None:
    # Seek the diamond where it is overseen, else do the worst: returns of unseen and of overseen
    # ends must not be mixed.
    _, best = five.optimum()
    worst = torch.zeros_like(best)
    worst[:, 0] = 1.0
    overseen = five.model.overseen_ends[:, 0]
    found = five.evaluate(torch.where(overseen[:, None], best, worst))
    up = five.evaluate(worst).mean_return
    assert set(found.by_condition) == {(False, False), (False, True), (True, False), (True, True)}
    for condition, value in found.by_condition.items():
        assert value == pytest.approx(0.9317 if condition[0] else up, abs=1e-4)
    assert found.mean_return == pytest.approx(0.1 * 0.9317 + 0.9 * up, abs=1e-4)
