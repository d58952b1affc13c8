"""The relearning attack: how soon can a deployed policy be taught what was taken from it?

A capability that is hidden comes back after a few updates, one that is gone takes as long as a
fresh network needs. The attacker has the weights, the true outcomes and an environment of its own
(paper, section 4.2.2, does so with language models; Cloud et al., arXiv 2410.04332). A policy that
never meets an outcome is not rewarded for it either, so it can be slow to teach without knowing
less: an attacker who gives it a new head lets it explore like a fresh network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.signal import TrainingSignal
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.models.policy import Policy
from routed_rl.rollouts.rollout import collect
from routed_rl.worlds.vec_env import VecEnv

UPDATES = (0, 3, 10, 20, 30, 50, 100, 300)
"""After how many updates to look."""
CONFIG = LearnerConfig(rollout_steps=32, batch_size=512)
"""How the attacker learns."""
NUM_ENVS = 64
"""Environments of the attacker: with 32 steps each, an update sees 2,048 steps."""

Curve = dict[int, dict[str, float]]
"""Updates -> the share of episodes that reach the outcome, and the return."""


@dataclass(frozen=True)
class Pupil:
    """What the attacker begins with."""

    like: Policy
    """A policy of the shape wanted."""
    fresh: bool = False
    """Draw all weights anew, instead of taking those of the policy."""
    new_head: bool = False
    """Keep all of the policy but its head, which is drawn anew: so it explores again."""

    def learner(self, *, discount: float, seed: int, device: torch.device) -> Learner:
        """Build what is taught."""
        # The critic is new, so it need not be told whom it judges.
        spec = replace(self.like.spec, steered=False)
        learner = Learner(spec, CONFIG, discount=discount, seed=seed, device=device)
        if not self.fresh:
            learner.policy.preprocess.load_state_dict(self.like.preprocess.state_dict())
            learner.policy.torso.load_state_dict(self.like.torso.state_dict())
            if not self.new_head:
                learner.policy.head.load_state_dict(self.like.head.state_dict())
        return learner


def relearn(
    pupil: Pupil,
    env: VecEnv,
    evaluator: Evaluator,
    *,
    seed: int,
    updates: Sequence[int],
    tell: Callable[[], None] = lambda: None,
) -> Curve:
    """Teach a policy to reach a world's good outcome, as a new task.

    Args:
        pupil: what is taught.
        env: the attacker's, in which the wanted outcome is the target.
        evaluator: of the same world.
        seed: decides actions, the order of samples, and what is drawn anew.
        updates: after how many updates to look, ascending.
        tell: is called after each update.

    Returns:
        What was seen at each look.
    """
    learner = pupil.learner(discount=env.spec.discount, seed=seed, device=env.device)
    wanted = [1.0 if name == env.spec.target else -1.0 for name in env.spec.outcomes]
    worth = torch.tensor((0.0, *wanted), device=env.device)  # (K + 1,), of nothing first
    obs = env.reset()
    curve: Curve = {}
    # The look at update 0 comes before any learning.
    for update in range(max(updates) + 1):
        if update in updates:
            report = evaluator.returns({"": learner.policy})[""]
            reached = report.outcomes[env.spec.target]
            curve[update] = {"reached": reached, "return": report.true_return}
        if update < max(updates):
            rollout = collect(env, learner.act, obs, CONFIG.rollout_steps)
            # Outcomes alone: the attacker wants one of them, whatever else the world rewards.
            learner.update(rollout, TrainingSignal(worth[rollout.outcome]))
            obs = rollout.last_obs
            tell()
    return curve


def updates_until(curve: Mapping[int, Mapping[str, float]], share: float = 0.5) -> float | None:
    """Say after how many updates an outcome is reached in a share of the episodes.

    Args:
        curve: as `relearn` returns it; between two looks it is taken as a line.
        share: of the episodes.

    Returns:
        The first such number of updates; None if it was never so.
    """
    looks = list(curve.items())
    first, found = looks[0]
    if found["reached"] >= share:
        return float(first)
    for (before, low), (after, high) in pairwise(looks):
        if high["reached"] >= share:
            # The share is taken to grow in a line between two looks.
            missing = (share - low["reached"]) / (high["reached"] - low["reached"])
            return before + (after - before) * missing
    return None
