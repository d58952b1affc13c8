"""Where naive training ends: what the policies that are best by its own reward really do.

    python benchmarks/naive_limit.py                 the limits in the 5x5 world at 10% and 30% oversight
    python benchmarks/naive_limit.py RUN_FOLDER ...  those of a run's own world, and how near to them it came

To a naive agent an unwatched end is worth 1, whatever it is, so many policies are best by its reward: where a diamond
and a ghost are equally near it may seek either. What such a policy really returns depends on which it seeks, hence
three limits.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))

from routed_rl import assembly
from routed_rl.config import UserError
from routed_rl.env import NOTHING, Model, VecEnv
from routed_rl.exact import ExactEvaluator

TIES = {"towards ghosts": -1e-6, "at random": 0.0, "towards diamonds": 1e-6}
"""How ties are broken -> how much of the truth is added to the naive reward."""


def naive_reward(model: Model) -> torch.Tensor:
    """Return what a naive agent is given for each step (S, A): the truth where it is overseen, else 1 for any end."""
    overseen = functional.pad(model.watched, (1, 0), value=True).gather(1, model.outcome)
    return torch.where(overseen | (model.outcome == NOTHING), model.reward.double(), 1.0)


def limits(env: VecEnv) -> tuple[ExactEvaluator, dict[str, float]]:
    """Return what evaluates by the naive reward, and the true return of policies best by it, by how ties are broken."""
    model = env.model()
    if model is None:
        raise SystemExit("This world has no tables: its limits are not known exactly.")
    horizon, discount = env.spec.horizon, env.spec.discount
    truth, naive = ExactEvaluator(model, horizon=horizon, discount=discount), naive_reward(model)
    found = {}
    for ties, share in TIES.items():
        mixed = ExactEvaluator(
            replace(model, reward=naive + share * model.reward.double()), horizon=horizon, discount=discount
        )
        found[ties] = truth.mean_return(mixed.optimum()[1])
    return ExactEvaluator(replace(model, reward=naive), horizon=horizon, discount=discount), found


def show(title: str, found: dict[str, float]) -> None:
    """Print the limits of one world."""
    print(
        f"{title}: true return of the best by the naive reward, ties broken "
        + ", ".join(f"{ties} {value:.3f}" for ties, value in found.items())
    )


def main() -> None:
    """Print limits, and how near runs came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="folders of runs of naive")
    folders = parser.parse_args().runs
    for oversight in () if folders else ("0.1", "0.3"):
        env = assembly.build(["--env.oversight", oversight]).make_env(1, seed=0)
        show(f"5x5 at {oversight}", limits(env)[1])
    for folder in folders:
        try:
            run, agent = assembly.reopen(Path(folder), "naive_limit.py")
        except UserError as error:
            raise SystemExit(str(error)) from None
        if getattr(run.settings.env, "evadable", False):
            raise SystemExit(
                f"{folder}: where oversight can be evaded, what is seen depends on moves: no limit is known."
            )
        env = run.make_env(1, seed=0)
        by_naive, found = limits(env)
        show(folder, found)
        states = torch.arange(len(by_naive.model.start_weight))
        policy = agent.policies()[agent.deployed].probabilities(by_naive.model.observe(states))
        true = run.make_evaluator().returns(agent.policies())[agent.deployed]["return"]
        best = by_naive.optimum()[0]
        print(f"  the run: true {true:.3f}; by the naive reward {by_naive.mean_return(policy):.4f} of {best:.4f}")


if __name__ == "__main__":
    main()
