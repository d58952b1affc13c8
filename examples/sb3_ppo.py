"""Stable-Baselines3's own PPO with routed gradients, on the gridworld at 10% oversight.

    python examples/sb3_ppo.py [--steps 1200000] [--seed 0] [--save model.zip]

Prints what the mixture and each expert alone really do: exact returns, by dynamic programming. See docs/sb3.md.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

sys.path.insert(0, str(Path(__file__).parents[1]))

from envs import gridworld
from routed_rl.evaluation import Evaluator
from routed_rl.sb3 import (
    ReachedReward,
    RoutedActorCriticPolicy,
    RoutedCallback,
    RoutedRolloutBuffer,
    RoutedVecEnv,
    categorical,
)
from routed_rl.steering import ablate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=1_200_000)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--save", type=Path)
args = parser.parse_args()

world = gridworld.make(gridworld.Config(oversight=0.1), 256, seed=args.seed, device=torch.device("cpu"))
model = PPO(
    RoutedActorCriticPolicy,
    ReachedReward(VecMonitor(RoutedVecEnv(world))),  # any end is worth 1; the monitor below still counts the truth
    n_steps=64, batch_size=2048, n_epochs=2, learning_rate=3e-4, gamma=world.spec.discount, ent_coef=0.12,
    max_grad_norm=math.inf,  # RoutedAdam clips each expert on its own
    rollout_buffer_class=RoutedRolloutBuffer,
    policy_kwargs={"outcomes": world.spec.outcomes, "net_arch": [256, 256], "activation_fn": torch.nn.ReLU, "ortho_init": False},
    seed=args.seed, device="cpu",
)
model.learn(args.steps, callback=RoutedCallback(), progress_bar=True)
policy = categorical(model.policy)
def make_env(n, *, oversight=None):
    return gridworld.make(gridworld.Config(oversight=0.1), n, seed=0, device=torch.device("cpu"))
evaluator = Evaluator(make_env, seed=0)
for name, report in evaluator.returns({"mixture": policy} | {n: ablate(policy, {n: 1.0}) for n in world.spec.outcomes}).items():
    print(f"{name:8} return {report['return']:+.3f}, ends {report['outcomes']}")
