"""Stable-Baselines3's own PPO with routed gradients, on the gridworld at 10% oversight: see docs/sb3.md.

    python examples/sb3_ppo.py [--steps 1200000] [--seed 0]        a few minutes on two cores

Prints the exact return, by dynamic programming, of the mixture and of the expert to deploy.
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

from envs.gridworld import Config, make
from routed_rl import sb3
from routed_rl.exact import ExactEvaluator
from routed_rl.steering import ablate

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=1_200_000)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

world = make(Config(oversight=0.1), 256, seed=args.seed, device=torch.device("cpu"))
# The monitor counts the true reward, for the log; what is learnt from is 1 for any end.
env = sb3.ReachedReward(VecMonitor(sb3.RoutedVecEnv(world)))
networks = {"net_arch": [256, 256], "activation_fn": torch.nn.ReLU}
model = PPO(
    sb3.RoutedActorCriticPolicy,
    env,
    n_steps=64,
    batch_size=2048,
    n_epochs=2,
    gamma=world.spec.discount,
    ent_coef=0.12,
    max_grad_norm=math.inf,  # the optimiser clips each expert on its own
    rollout_buffer_class=sb3.RoutedRolloutBuffer,
    policy_kwargs={"outcomes": world.spec.outcomes} | networks,
    seed=args.seed,
    device="cpu",
)
model.learn(args.steps, callback=sb3.RoutedCallback(), progress_bar=True)

tables, mixture = world.model(), sb3.categorical(model.policy)
exact = ExactEvaluator(tables, horizon=world.spec.horizon, discount=world.spec.discount)
frames = tables.observe(torch.arange(len(tables.start_weight)))
for name, policy in {"mixture": mixture, "deployed": ablate(mixture, {world.spec.target: 1.0})}.items():
    print(f"{name:9} return {exact.mean_return(policy.probabilities(frames)):+.3f}")
