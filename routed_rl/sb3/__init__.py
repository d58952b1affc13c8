"""Routed gradients in Stable-Baselines3: a policy, a buffer and a callback for its own PPO. See docs/sb3.md."""

from .buffer import RoutedRolloutBuffer
from .callback import RoutedCallback
from .export import categorical
from .optimizer import RoutedAdam
from .policy import RoutedActorCriticPolicy
from .reward import ReachedReward
from .vec_env import RoutedVecEnv

__all__ = [
    "ReachedReward",
    "RoutedActorCriticPolicy",
    "RoutedAdam",
    "RoutedCallback",
    "RoutedRolloutBuffer",
    "RoutedVecEnv",
    "categorical",
]
