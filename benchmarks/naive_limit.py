"""Where naive training ends: what the policies that are best by its own reward really do.

    python benchmarks/naive_limit.py                 the 5x5 world at 10% and 30% oversight
    python benchmarks/naive_limit.py RUN_FOLDER ...  a run's own world, and how near the run came

To a naive agent every unseen end has a reward of 1, so many policies are best by its reward. Where
a diamond and a ghost are equally near it may seek either. What such a policy really returns depends
on which it seeks, hence three limits.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from routed_rl import UserError, load
from routed_rl.envs import gridworld
from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import VecEnv

TIES = {"towards ghosts": -1e-6, "at random": 0.0, "towards diamonds": 1e-6}
"""How ties are broken -> how much of the truth is added to the naive reward."""


def naive_reward(model: TabularMDP) -> Tensor:
    """Return what a naive agent is given for each step: the truth if overseen, else 1 for any end.

    Returns:
        (S, A) float64.
    """
    # A column for nothing in front: a step that reaches nothing is always known.
    known = functional.pad(model.overseen_ends, (1, 0), value=True)  # (S, K + 1)
    overseen = known.gather(1, model.outcome)
    return torch.where(overseen | (model.outcome == NOTHING), model.true_reward.double(), 1.0)


def limits(env: VecEnv) -> tuple[ExactEvaluator, dict[str, float]]:
    """Find the policies that are best by the naive reward.

    Returns:
        What evaluates by the naive reward; how ties are broken -> the best policies' true return.
    """
    model = env.model()
    if model is None:
        raise SystemExit("This world has no tables: its limits are not known exactly.")
    spec = env.spec
    true = model.true_reward.double()
    naive = naive_reward(model)

    def by(reward: Tensor) -> ExactEvaluator:
        changed = replace(model, true_reward=reward)
        return ExactEvaluator(changed, horizon=spec.horizon, discount=spec.discount)

    truth = by(model.true_reward)
    found = {}
    for ties, share in TIES.items():
        _, policy = by(naive + share * true).optimum()
        found[ties] = truth.mean_return(policy)
    return by(naive), found


def show(title: str, found: Mapping[str, float]) -> None:
    """Print the limits of one world."""
    values = ", ".join(f"{ties} {value:.3f}" for ties, value in found.items())
    print(f"{title}: true return of the best by the naive reward, ties broken {values}")


def show_run(folder: str) -> None:
    """Print the limits of a run's world, and how near to them it came."""
    run = load(Path(folder))
    agent = run.agent
    if getattr(run.setup.config.env, "evadable", False):
        raise SystemExit(
            f"{folder}: where oversight can be evaded, what is seen depends on moves: "
            "no limit is known."
        )
    by_naive, found = limits(run.setup.make_env(1, seed=0))
    show(folder, found)
    policy = {agent.deployed: run.deploy()}
    true = run.setup.make_evaluator().returns(policy)[agent.deployed].true_return
    states = torch.arange(len(by_naive.model.start_probability))
    table = run.deploy().probabilities(by_naive.model.observe(states))
    reached = by_naive.mean_return(table)
    best, _ = by_naive.optimum()
    print(f"  the run: true {true:.3f}; by the naive reward {reached:.4f} of {best:.4f}")


def main() -> None:
    """Print limits, and how near runs came."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", help="folders of runs of naive")
    folders = parser.parse_args().runs
    for folder in folders:
        try:
            show_run(folder)
        except UserError as error:
            raise SystemExit(str(error)) from None
    if not folders:
        for oversight in (0.1, 0.3):
            config = gridworld.Config(oversight=oversight)
            env = gridworld.make(config, 1, seed=0, device=torch.device("cpu"))
            show(f"5x5 at {oversight}", limits(env)[1])


if __name__ == "__main__":
    main()
