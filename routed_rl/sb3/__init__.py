"""Routed gradients in Stable-Baselines3: a policy, a buffer and a callback for its own PPO.

See docs/sb3.md.
"""

from routed_rl.sb3.buffer import RoutedRolloutBuffer
from routed_rl.sb3.callback import RoutedCallback
from routed_rl.sb3.export import categorical
from routed_rl.sb3.optimizer import RoutedAdam
from routed_rl.sb3.policy import RoutedActorCriticPolicy
from routed_rl.sb3.reward import ReachedReward
from routed_rl.sb3.vec_env import RoutedVecEnv

__all__ = [
    "ReachedReward",
    "RoutedActorCriticPolicy",
    "RoutedAdam",
    "RoutedCallback",
    "RoutedRolloutBuffer",
    "RoutedVecEnv",
    "categorical",
]
