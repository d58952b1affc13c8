"""Stable-Baselines3's own PPO with routed gradients, on the gridworld: see docs/sb3.md.

    python examples/sb3_ppo.py [--steps 1200000] [--seed 0]        a few minutes on two cores

10% of the ends are overseen. Prints the exact return, by dynamic programming, of the mixture and of
the expert to deploy.
"""

from __future__ import annotations

import argparse
import math

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from routed_rl import ablate, sb3
from routed_rl.envs import gridworld
from routed_rl.evaluation.exact import ExactEvaluator

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--steps", type=int, default=1_200_000)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

config = gridworld.Config(oversight=0.1)
world = gridworld.make(config, 256, seed=args.seed, device=torch.device("cpu"))
# Its reward is what the world pays: 1 for any end, good or bad.
env = VecMonitor(sb3.RoutedVecEnv(world))
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
    policy_kwargs={
        "outcomes": world.spec.outcomes,
        "net_arch": [256, 256],
        "activation_fn": torch.nn.ReLU,
    },
    seed=args.seed,
    device="cpu",
)
model.learn(args.steps, callback=sb3.RoutedCallback(), progress_bar=True)

tables = world.model()
assert tables is not None
exact = ExactEvaluator(tables, horizon=world.spec.horizon, discount=world.spec.discount)
frames = tables.observe(torch.arange(len(tables.start_probability)))
mixture = sb3.categorical(model.policy)
deployed = ablate(mixture, {world.spec.target: 1.0})
for name, policy in (("mixture", mixture), ("deployed", deployed)):
    print(f"{name:9} return {exact.mean_return(policy.probabilities(frames)):+.3f}")
