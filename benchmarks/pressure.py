"""Pressure over time: what longer training does to a policy, and to the model that rewards it.

    python benchmarks/pressure.py [--steps 4000000] [--seeds 40 41] [--base FILE] [--out FILE]

Trains rivals in the substitution world and looks at them ten times on the way: what the policy to
deploy is paid, what it is truly worth, how often it meets ghost and glitch; and of a method with an
outcome model, how many of the ends that its policy reaches by then the model judges rightly. The
more a policy is optimised against a model, the more it does what the model gets wrong (Goodhart's
law; Gao et al., "Scaling laws for reward model overoptimization", arXiv 2210.10760).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.algorithms.outcome_model import OutcomeModel
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, Rollout, collect
from routed_rl.training import builder
from routed_rl.worlds.outcomes import is_bad

SHARED = (
    *("--env", "substitution", "--env.recall", "0.5", "--num-envs", "1024"),
    *("--agent.hidden", "128", "128", "--agent.rollout-steps", "16", "--agent.batch-size", "4096"),
    *("--agent.learning-rate", "3e-4", "--agent.ent-coef", "0.02", "--agent.clip-range", "0.2"),
)
KNOWS = ("--agent.recall", "0.5")
ROUTED = ("--agent", "routed", "--agent.weight-decay", "1e-4")
METHODS = {
    "naive, recall corrected": ("--agent", "naive", *KNOWS),
    "filtered": ("--agent", "filtered"),
    "reward_model, keep paid": ("--agent", "reward_model", "--agent.keep-paid", *KNOWS),
    "reward_model": ("--agent", "reward_model", *KNOWS),
    "routed": ROUTED,
    "routed, routes none": (*ROUTED, "--agent.routes", "none"),
}
"""What tables call a method -> its flags."""
ON_A_BASE = {
    "naive, recall corrected, on a base": ("--agent", "naive", *KNOWS),
    "routed, on a base": (*ROUTED, "--agent.no-gate"),
    "routed, routes none, on a base": (*ROUTED, "--agent.no-gate", "--agent.routes", "none"),
}
"""The same, on the base that sweeps/substitution.toml says how to make."""
LOOKS = 10


class Look(NamedTuple):
    """What there is to see of a method at one time."""

    method: str
    seed: int
    steps: int
    true_return: float
    paid_return: float
    ghost: float  # per episode
    glitch: float
    model_accuracy: float | None  # over ends of the acting policy; None without a model


def follow(method: str, flags: tuple[str, ...], seed: int, steps: int) -> Iterator[Look]:
    """Train a method, and look at it at even distances."""
    setup = builder.build((*SHARED, *flags, "--seed", str(seed)))
    config = setup.config
    env = setup.make_env(config.settings.num_envs, seed=setup.env_seed)
    agent = setup.make_agent(env)
    evaluator = setup.make_evaluator()
    obs = env.reset()
    rollout_steps = config.agent.rollout_steps
    frames = Frames.like(obs, rollout_steps)
    per_rollout = rollout_steps * env.num_envs
    rollouts = -(-steps // per_rollout)
    for number in range(1, rollouts + 1):
        rollout = collect(env, agent.act, obs, rollout_steps, frames)
        visible = labels.hide(rollout, env.spec)
        agent.update(visible)
        obs = rollout.last_obs
        if number * LOOKS // rollouts > (number - 1) * LOOKS // rollouts:
            model: Any = getattr(agent, "model", None)
            accuracy = None if model is None else _accuracy(model, rollout, visible, env.spec)
            report = evaluator.returns({"": agent.policies()[agent.deployed]})[""]
            counts = report.outcomes_per_episode or {}
            yield Look(
                method=method,
                seed=seed,
                steps=number * per_rollout,
                true_return=report.true_return,
                paid_return=report.paid_return,
                ghost=counts["ghost"],
                glitch=counts["glitch"],
                model_accuracy=accuracy,
            )


@torch.no_grad()
def _accuracy(model: OutcomeModel, rollout: Rollout, visible: Any, spec: Any) -> float:
    """Return the share of ends that nobody reported of which a model says rightly if it is bad."""
    asked = rollout.terminated & (visible.reported == 0)
    bad = is_bad(torch.arange(1, 1 + len(spec.outcomes)), spec.outcome_rewards)  # (K,)
    says: Tensor = model.infer(visible)[asked][:, bad].sum(dim=1) > 0.5
    return float((says == is_bad(rollout.outcome[asked], spec.outcome_rewards)).float().mean())


def main() -> None:
    """Write a row for each look."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=4_000_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[40, 41])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pressure.csv"))
    asked = parser.parse_args()
    methods = dict(METHODS)
    if asked.base is not None:
        stand = ("--agent.base", str(asked.base))
        methods |= {name: (*flags, *stand) for name, flags in ON_A_BASE.items()}
    with asked.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Look._fields)
        for seed in asked.seeds:
            for method, flags in methods.items():
                for look in follow(method, flags, seed, asked.steps):
                    writer.writerow(look)
                    file.flush()
                print(f"{method}, seed {seed}: {look.true_return:.3f}", flush=True)


if __name__ == "__main__":
    main()
