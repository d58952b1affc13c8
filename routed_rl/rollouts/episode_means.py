"""What happened in the episodes that ended in a rollout: the laboratory's view, with the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.outcomes import NOTHING

_MEANS = ("ep_rew_mean", "ep_true_rew_mean", "ep_len_mean")


class EpisodeMeans:
    """Follows B environments; no agent gets what it says."""

    def __init__(self, num_envs: int, device: torch.device) -> None:
        """Begin with B new episodes."""
        # (3, B): what was paid so far, what was truly gained, and how many steps were taken.
        self._running = torch.zeros(len(_MEANS), num_envs, device=device)

    def describe(self, rollout: Rollout, outcomes: tuple[str, ...]) -> dict[str, Tensor]:
        """Go on with a rollout; return metrics of it.

        Means are over the episodes that ended in it, wherever they began, and are left out where
        none did. They are named as in Stable-Baselines3, and undiscounted like its own.

        Args:
            rollout: of the same B environments.
            outcomes: their names.
        """
        done = rollout.done
        ended = done.any(dim=0)  # (B,)
        over = done.flip(0).cummax(dim=0).values.flip(0)  # (T, B) of an episode that ends in it
        paid = rollout.reward
        steps = torch.stack((paid, rollout.true_reward, torch.ones_like(paid)))  # (3, T, B)
        totals = self._running * ended + (steps * over).sum(dim=1)
        self._running = self._running * ~ended + (steps * ~over).sum(dim=1)

        episodes = done.sum()
        some = episodes.clamp(min=1)
        happened = rollout.outcome != NOTHING
        metrics = {"rollout/episodes": episodes}
        if episodes:
            means = totals.sum(dim=1) / episodes
            metrics |= {f"rollout/{name}": x for name, x in zip(_MEANS, means, strict=True)}
        for k, name in enumerate(outcomes):
            metrics[f"rollout/{name}"] = (rollout.outcome == k + 1).sum() / some
        overseen = (rollout.overseen & happened).sum() / happened.sum().clamp(min=1)
        return metrics | {"rollout/overseen": overseen}

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that `load_state_dict` needs."""
        return {"running": self._running}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where `state_dict` was taken, with as many environments."""
        self._running.copy_(state["running"])
