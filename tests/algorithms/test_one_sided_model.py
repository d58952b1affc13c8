"""What is inferred where only bad outcomes are ever reported."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import BY_HAND, CPU, OPEN, by_hand, on_the_way
from torch import Tensor

from routed_rl.algorithms.config import InferringConfig, OutcomeModelConfig
from routed_rl.algorithms.outcome_model import OneSidedModel, OutcomeModel, outcome_model
from routed_rl.rollouts import labels
from routed_rl.rollouts.frame_ring import FrameRing
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.spec import EnvSpec

ENDS = replace(BY_HAND, one_sided=True)
PITS = replace(ENDS, outcomes=("diamond", "ghost", "pit"), outcome_rewards=(1.0, -1.0, -1.0))
ANYWHERE = replace(OPEN, one_sided=True)


def model_of(spec: EnvSpec, seed: int = 0, **settings: Any) -> OneSidedModel:
    config = OutcomeModelConfig(**{"hidden": (8,)} | settings)
    model = outcome_model(spec, config, seed=seed, device=CPU)
    assert isinstance(model, OneSidedModel)
    return model


def ends() -> VisibleRollout:
    """Make three steps: four diamonds and two ghosts, one of them reported, then time runs out."""
    rollout = by_hand(
        outcome=[[0, 2, 1], [1, 0, 2], [1, 1, 0]],
        overseen=[[0, 1, 0], [0, 0, 0], [0, 0, 0]],
        truncated=[[0, 0, 0], [0, 0, 0], [0, 0, 1]],
    )
    return labels.hide(rollout, ENDS)


def test_who_builds_it() -> None:
    config = OutcomeModelConfig(hidden=(8,))
    assert type(outcome_model(BY_HAND, config, seed=0, device=CPU)) is OutcomeModel
    assert type(outcome_model(ENDS, config, seed=0, device=CPU)) is OneSidedModel


def test_no_frame_without_a_report_is_kept_as_bad() -> None:
    model = model_of(ENDS)
    model.learn(ends())
    kept = model.state_dict()
    # Frame 3 t + b. Reported is a ghost, outcome 1 from 0; all other ends are not.
    assert (kept["frames"].flatten().tolist(), kept["outcomes"].tolist()) == ([1], [1])
    assert sorted(kept["unreported"]["frames"].flatten().tolist()) == [2, 3, 5, 6, 7]
    assert kept["unreported"]["outcomes"].tolist() == [pytest.approx(1 / 6)] * 5
    assert "quiet" not in kept


def test_where_outcomes_end_nothing_any_step_may_be_bad() -> None:
    model = model_of(ANYWHERE)
    rollout = on_the_way([[0, 2], [2, 1], [0, 0]], [[0, 0], [1, 0], [0, 0]], [[0, 0]] * 3)
    model.learn(labels.hide(rollout, ANYWHERE))
    kept = model.state_dict()
    assert (kept["frames"].flatten().tolist(), kept["outcomes"].tolist()) == ([2], [1])
    assert sorted(kept["unreported"]["frames"].flatten().tolist()) == [0, 1, 3, 4, 5]
    assert kept["unreported"]["outcomes"].tolist() == [pytest.approx(1 / 6)] * 5


@pytest.mark.parametrize(("capacity", "kept"), [(16, 2), (15, 1), (4, 1)])
def test_of_each_rollout_an_eighth_of_the_room_is_kept_one_at_least(
    capacity: int, kept: int
) -> None:
    model = model_of(ANYWHERE, capacity=capacity)
    rollout = labels.hide(on_the_way([[0] * 4] * 5, [[0] * 4] * 5, [[0] * 4] * 5), ANYWHERE)
    for times in (1, 2):
        model.learn(rollout)
        assert model.state_dict()["unreported"]["seen"] == times * kept


def test_its_seed_alone_decides_what_is_kept_and_loading_brings_it_back() -> None:
    rollout = labels.hide(on_the_way([[0] * 9] * 9, [[0] * 9] * 9, [[0] * 9] * 9), ANYWHERE)
    kept = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = model_of(ANYWHERE, capacity=64)
        model.learn(rollout)
        kept.append(model.state_dict()["unreported"]["frames"])
    assert len(kept[0]) == 8
    assert torch.equal(*kept)
    twin = model_of(ANYWHERE, seed=1, capacity=64)
    twin.load_state_dict(deepcopy(model.state_dict()))
    assert torch.equal(twin.state_dict()["unreported"]["frames"], kept[1])


def of_ends(reported: list[int]) -> VisibleRollout:
    """Make one step in which all episodes end, at a diamond where 0 is reported: nothing."""
    seen = [[int(number > 0) for number in reported]]
    played = by_hand([[number or 1 for number in reported]], seen, [[0] * len(reported)])
    return labels.hide(played, PITS)


def flat(spec: EnvSpec, logits: tuple[float, ...], **settings: Any) -> OneSidedModel:
    """Make a model that says the same of all frames, and learns nothing."""
    model = model_of(spec, learning_rate=0.0, steps=1, **settings)
    for parameter in model.network.parameters():
        torch.nn.init.zeros_(parameter)
    for member in model.network:
        member[1][-1].bias.data = torch.tensor(logits)
    return model


@pytest.mark.parametrize(
    ("others", "recall", "prior"),
    [
        (4, 1.0, 2 / 6),
        (4, 0.5, 4 / 6),
        (4, 0.1, 0.99),  # it stays below 1
        (1, 1.0, 2 / 3),
    ],
)
def test_the_loss_by_hand(others: int, recall: float, prior: float) -> None:
    # Of a ghost and a pit, both reported, either is three times as probable as nothing bad.
    model = flat(PITS, (9.0, math.log(3), math.log(3), 0.0), recall=recall)
    loss = model.learn(of_ends([2, 3] + [0] * others))["outcome_model/loss"]
    # What is bad: 6 to 1, for all samples. Which of the two it is: ln 2.
    share = 2 / (2 + others)
    risk = prior * math.log(7 / 6) + max((1 - share) - (prior - share), 0) * math.log(7)
    assert float(loss) == pytest.approx(risk + math.log(2))


def test_no_less_is_bad_than_was_reported() -> None:
    model = flat(ENDS, (0.0, math.log(3), 0.0), recall=1.0)
    loss = model.learn(of_ends([2] * 299 + [0]))["outcome_model/loss"]
    share = 299 / 300  # more than the 0.99 that a prior may otherwise have
    assert float(loss) == pytest.approx(share * math.log(4 / 3) + (1 - share) * math.log(4))


def test_half_of_a_minibatch_are_frames_that_were_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    draw = FrameRing.draw
    monkeypatch.setattr(
        FrameRing, "draw", lambda ring, count, rng: drawn.append(count) or draw(ring, count, rng)
    )
    model_of(ENDS, batch_size=12, steps=1).learn(ends())
    assert drawn == [6, 6]


def test_where_nothing_is_left_unreported_it_learns_nothing_yet() -> None:
    model = model_of(ENDS)
    assert model.learn(of_ends([2, 2]))["outcome_model/loss"] == 0
    assert model.probabilities(torch.rand(3, 1)).tolist() == [[1, 0]] * 3
    assert model.learn(of_ends([0]))["outcome_model/loss"] > 0
    assert (model.probabilities(torch.rand(3, 1))[:, 1] > 0).all()


def test_errors_are_counted_on_what_has_a_name_for_it() -> None:
    model = flat(PITS, (9.0, 2.0, 1.0, 0.0), members=2)
    errors = [
        float(model.learn(of_ends(reported))["outcome_model/error_on_new_labels"])
        for reported in ([2, 3, 2], [3, 2, 2], [3])
    ]
    # First nothing bad had a name; a ghost is then what it guesses.
    assert errors == pytest.approx([1, 1 / 3, 1])


def test_what_it_says_has_no_gradient_however_many_frames_there_are() -> None:
    model = flat(ENDS, (0.0, math.log(3), 0.0), members=2)
    model.learn(ends())
    found = model.probabilities(torch.rand(5000, 1))
    assert not found.requires_grad
    assert torch.allclose(found, torch.tensor([0.25, 0.75]).expand(5000, 2))


def test_before_any_report_ends_are_good_and_what_was_never_reported_is_nothing() -> None:
    rollout = ends()
    without = rollout.terminated & (rollout.reported == 0)
    model = model_of(PITS)
    before = model.infer(rollout)
    assert before[without].tolist() == [[1, 0, 0]] * 5
    assert before[0, 1].tolist() == [0, 1, 0], "what was reported is certain"
    assert (before[~rollout.terminated] == 0).all()
    model.learn(rollout)
    after = model.infer(rollout)
    assert after[0, 1].tolist() == [0, 1, 0]
    assert (after[..., 2] == 0).all()
    assert (after[without][:, 1] > 0).all()
    assert torch.allclose(after[without].sum(dim=1), torch.ones(5))
    assert (after[~rollout.terminated] == 0).all()


def draw(spec: EnvSpec, recall: float, generator: torch.Generator) -> VisibleRollout:
    """Make steps that all show 0 or 1; a ghost is behind 9 in 10 of those that show 1.

    Where outcomes end episodes each step is an end, of a diamond if of no ghost.
    """
    shape = (32, 64)
    shown = (torch.rand(shape, generator=generator) < 0.4).float()
    bad = (torch.rand(shape, generator=generator) < 0.9) & (shown == 1)
    flagged = (torch.rand(shape, generator=generator) < recall) & bad
    other = 1 if spec.outcomes_end else 0
    rollout = by_hand([[0] * 64] * 32, [[0] * 64] * 32, [[0] * 64] * 32)
    rollout = replace(
        rollout,
        final_obs=shown[..., None],
        terminated=torch.full(shape, spec.outcomes_end),
        outcome=torch.where(bad, 2, other),
        overseen=flagged,
        reported=torch.where(flagged, 2, 0),
    )
    return labels.hide(rollout, spec)


@pytest.mark.parametrize("spec", [ENDS, ANYWHERE])
@pytest.mark.parametrize(("assumed", "expected"), [(1.0, 0.27), (0.3, 0.9)])
def test_with_the_true_recall_it_finds_how_much_is_bad(
    spec: EnvSpec, assumed: float, expected: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    model = model_of(spec, recall=assumed, learning_rate=1e-2, capacity=4096)
    for _ in range(12):
        model.learn(draw(spec, 0.3, generator))
    found = model.probabilities(torch.tensor([[0.0], [1.0]]))
    rest = [1 - float(x) if spec.outcomes_end else 0.0 for x in found[:, 1]]
    assert found[:, 1].tolist() == pytest.approx([0.0, expected], abs=0.06)
    assert found[:, 0].tolist() == pytest.approx(rest)


def test_it_goes_on_to_the_same_bits() -> None:
    model = model_of(ENDS, recall=0.5, capacity=16)
    model.learn(ends())
    twin = model_of(ENDS, seed=1, recall=0.5, capacity=16)
    twin.load_state_dict(deepcopy(model.state_dict()))
    for one in (model, twin):
        one.learn(ends())
    frames: Tensor = torch.rand(9, 1)
    assert torch.equal(twin.probabilities(frames), model.probabilities(frames))


@pytest.mark.parametrize("recall", [0.0, 1.1])
def test_a_recall_that_there_is_not_is_refused(recall: float) -> None:
    with pytest.raises(ValueError, match=f"recall is {recall}: give a share above 0, at most 1"):
        InferringConfig(recall=recall)


def test_the_two_sided_model_refuses_a_one_sided_world() -> None:
    for build in (OutcomeModel, outcome_model):
        assert isinstance(build(BY_HAND, OutcomeModelConfig(), seed=0, device=CPU), OutcomeModel)
    with pytest.raises(ValueError, match="build it with outcome_model"):
        OutcomeModel(ENDS, OutcomeModelConfig(), seed=0, device=CPU)
