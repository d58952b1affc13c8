"""The relearning attack: how soon can a deployed policy be taught what was taken from it?

A capability that is hidden comes back after a few updates, one that is gone takes as long as a fresh network needs.
The attacker has the weights, the true outcomes and an environment of its own (paper, section 4.2.2, does so with
language models; Cloud et al., arXiv 2410.04332). A policy that never meets an outcome is not rewarded for it either, so
it can be slow to teach without knowing less: an attacker who gives it a new head lets it explore like a fresh network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from routed_rl.env import VecEnv
from routed_rl.evaluation import Evaluator
from routed_rl.learner import Learner, LearnerConfig, Lesson
from routed_rl.policy import Policy
from routed_rl.rollout import collect

UPDATES = (0, 3, 10, 20, 30, 50, 100, 300)
"""After how many updates to look."""
CONFIG = LearnerConfig(rollout_steps=32, minibatch=512)
"""How the attacker learns."""
NUM_ENVS = 64
"""Environments of the attacker: with 32 steps each, an update sees 2,048 steps."""


def relearn(
    policy: Policy | None,
    env: VecEnv,
    evaluator: Evaluator,
    *,
    like: Policy,
    seed: int,
    updates: Sequence[int],
    new_head: bool = False,
) -> dict[int, dict[str, float]]:
    """Teach a policy to reach an environment's good outcome, as a new task.

    Args:
        policy: to begin with; None for a fresh network.
        env: the attacker's, worth 1 where the wanted outcome is reached.
        evaluator: of the same worth.
        like: a policy of the shape wanted.
        seed: decides actions, the order of samples, and a fresh network.
        updates: after how many updates to look, ascending.
        new_head: keep all of the policy but its head, which is drawn anew: so it explores again.

    Returns:
        Updates -> the share of episodes that reach the outcome, and the return.
    """
    blueprint = replace(like.blueprint, steered=False)
    learner = Learner(blueprint, CONFIG, discount=env.spec.discount, seed=seed, device=env.device)
    if policy is not None:
        learner.policy.torso.load_state_dict(policy.torso.state_dict())
        if not new_head:
            learner.policy.head.load_state_dict(policy.head.state_dict())
    obs, found = env.reset(), {}
    for update in range(max(updates) + 1):
        if update in updates:
            report = evaluator.returns({"": learner.policy})[""]
            found[update] = {"reached": report["outcomes"][env.spec.target], "return": report["return"]}
        if update < max(updates):
            rollout = collect(env, learner.act, obs, CONFIG.rollout_steps)
            learner.update(rollout, Lesson(torch.where(rollout.terminated, rollout.reward, 0.0)))
            obs = rollout.last_obs
    return found


def updates_until(curve: Mapping[int, Mapping[str, float]], share: float = 0.5) -> float | None:
    """Say after how many updates an outcome is reached in a share of the episodes, between two looks in proportion.

    Args:
        curve: as `relearn` returns it.
        share: of the episodes.

    Returns:
        The first such number of updates; None if it was never so.
    """
    looks = list(curve.items())
    if looks[0][1]["reached"] >= share:
        return float(looks[0][0])
    for (before, low), (after, high) in pairwise(looks):
        if high["reached"] >= share:
            return before + (after - before) * (share - low["reached"]) / (high["reached"] - low["reached"])
    return None
