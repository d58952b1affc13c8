"""What agents make of labels that only ever say what is bad."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import BY_HAND, CPU, by_hand
from torch import Tensor

from routed_rl.agents import filtered, naive, routed
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import VisibleRollout
from routed_rl.worlds.outcomes import Label
from routed_rl.worlds.spec import EnvSpec

SPEC = EnvSpec(
    obs_shape=(3, 1, 1),
    num_actions=2,
    outcomes=("diamond", "ghost", "glitch"),
    target="diamond",
    outcome_rewards=(1.0, -1.0, -1.0),
    discount=0.9,
    horizon=8,
    outcomes_end=True,
    one_sided=True,
)


def visible() -> VisibleRollout:
    """Four steps: a flagged ghost, then a diamond; an unflagged ghost; a flagged glitch; nothing.

    The second environment's last episode runs on, the fourth's runs out of time.
    """
    rollout = by_hand(
        outcome=[[0, 0, 0, 0], [2, 2, 0, 0], [0, 0, 3, 0], [1, 0, 1, 0]],
        overseen=[[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
        truncated=[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]],
    )
    return labels.hide(rollout, SPEC)


def signal_of(**settings: Any) -> TrainingSignal:
    """Let a routed agent learn from the rollout; return what its learner gets."""
    agent = routed.Agent(SPEC, routed.Config(hidden=(4,), **settings), seed=0, device=CPU)
    caught: list[TrainingSignal] = []

    def update(_: VisibleRollout, signal: TrainingSignal) -> dict[str, Tensor]:
        caught.append(signal)
        return {}

    agent.learner.update = update  # type: ignore[method-assign, assignment]
    agent.update(visible())
    return caught[0]


ALL = [True, True, True]
FLAGGED = [False, True, False]
GOOD = [True, False, False]


def test_labels_know_of_flags_and_of_episodes_that_came_to_nothing() -> None:
    unknown, running = int(Label.UNKNOWN), int(Label.RUNNING)
    assert visible().label.T.tolist() == [
        [2, 2, unknown, unknown],
        [unknown, unknown, running, running],
        [3, 3, 3, unknown],
        [0, 0, 0, 0],
    ]


def test_there_are_two_experts_and_any_flag_trains_the_second() -> None:
    agent = routed.Agent(SPEC, routed.Config(hidden=(4,)), seed=0, device=CPU)
    assert list(agent.policies()) == ["mixture", "diamond", "flagged"]
    assert agent.deployed == "diamond"
    mask = signal_of().grad_mask
    assert mask is not None
    assert mask.transpose(0, 1).tolist() == [
        [FLAGGED, FLAGGED, ALL, ALL],
        [ALL] * 4,
        [FLAGGED, FLAGGED, FLAGGED, ALL],
        [ALL] * 4,
    ]


def test_or_what_is_not_flagged_trains_the_first_alone() -> None:
    mask = signal_of(unflagged="good").grad_mask
    assert mask is not None
    assert mask.transpose(0, 1).tolist() == [
        [FLAGGED, FLAGGED, GOOD, GOOD],
        [GOOD] * 4,
        [FLAGGED, FLAGGED, FLAGGED, GOOD],
        [GOOD] * 4,
    ]


@pytest.mark.parametrize("routes", ["label", "none"])
def test_the_gate_learns_to_tell_both_kinds_that_count_as_much(routes: Any) -> None:
    signal = signal_of(routes=routes)
    assert signal.gate_target is not None and signal.gate_weight is not None
    assert signal.gate_target.T.tolist() == [[1, 1, 0, 0], [0, 0, -2, -2], [1, 1, 1, 0], [0] * 4]
    # 5 flagged steps and 9 others have a target.
    weight = signal.gate_weight
    assert weight[signal.gate_target == 1].sum().item() == pytest.approx(7)
    assert weight[signal.gate_target == 0].sum().item() == pytest.approx(7)
    assert (signal.grad_mask is None) == (routes == "none")


def test_the_placebo_shuffles_flags_among_all_segments() -> None:
    counts = set()
    for seed in range(8):
        agent = routed.Agent(
            SPEC, routed.Config(hidden=(4,), routes="random"), seed=seed, device=CPU
        )
        label = agent._label(visible())
        ends = visible().segment_end
        assert (label[ends] == 2).sum() == 2, "as many segments as were flagged"
        counts.add(tuple((label == 2).sum(dim=0).tolist()))
    assert len(counts) > 1


def test_a_penalty_is_divided_by_the_recall_that_is_assumed() -> None:
    config = naive.Config(hidden=(4,), penalty=2.0, recall=0.25)
    agent = naive.Agent(SPEC, config, seed=0, device=CPU)
    rollout = visible()
    reward = agent.training_signal(rollout).reward - rollout.reward
    expected = torch.zeros(4, 4)
    expected[1, 0] = expected[2, 2] = -8.0
    assert torch.equal(reward, expected)
    with pytest.raises(ValueError, match=r"recall is 0\.0: give a share above 0"):
        naive.Config(recall=0.0)


def test_the_filter_drops_what_is_flagged_and_learns_what_is_paid() -> None:
    agent = filtered.Agent(SPEC, filtered.Config(hidden=(4,)), seed=0, device=CPU)
    rollout = visible()
    signal = agent.training_signal(rollout)
    assert torch.equal(signal.reward, rollout.reward)
    assert signal.weight is not None
    assert signal.weight.T.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]]
    assert "what the world pays" in agent.remark
    plain = filtered.Agent(BY_HAND, filtered.Config(hidden=(4,)), seed=0, device=CPU)
    assert "knows everything of" in plain.remark


def test_what_is_inferred_to_be_bad_is_routed_as_what_was_flagged() -> None:
    settings: dict[str, Any] = {"hidden": (4,), "infer": True, "confidence": 0.8}
    agent = routed.Agent(SPEC, routed.Config(**settings), seed=0, device=CPU)
    probability = torch.zeros(4, 4, 3)
    probability[3, 0, 0] = 1.0  # surely a diamond, which nobody certified
    probability[1, 1, 1] = 0.8  # the ghost that was not flagged
    probability[2, 2, 2] = 1.0
    probability[3, 2, 1] = 0.7
    probability[1, 0, 1] = 1.0
    label = agent._inferred(visible(), probability)
    unknown, running = int(Label.UNKNOWN), int(Label.RUNNING)
    assert label.T.tolist() == [
        [2, 2, unknown, unknown],
        [2, 2, running, running],
        [3, 3, 3, unknown],
        [0, 0, 0, 0],
    ]


def test_an_agent_that_infers_goes_on_to_the_same_bits() -> None:
    config = routed.Config(hidden=(4,), infer=True, recall=0.5)
    first, second = (routed.Agent(SPEC, config, seed=seed, device=CPU) for seed in (0, 1))
    env_like = visible()
    rollout = replace(
        env_like,
        obs=env_like.obs[..., None, None].expand(4, 4, 3, 1, 1).contiguous(),
        final_obs=env_like.final_obs[..., None, None].expand(4, 4, 3, 1, 1).contiguous(),
        last_obs=env_like.last_obs[..., None, None].expand(4, 3, 1, 1).contiguous(),
        action=env_like.action % 2,
    )
    first.update(rollout)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.update(rollout).keys() == second.update(rollout).keys()
    for one, two in zip(
        first.learner.policy.parameters(), second.learner.policy.parameters(), strict=True
    ):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"confidence": 1.5}, r"confidence is 1\.5: give a number from 0 to 1"),
        ({"infer": True, "credit": "episode"}, "infer and credit episode are both given"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        routed.Config(**settings)
