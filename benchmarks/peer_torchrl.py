"""A peer of `bench.py`: torchrl's PPO on the paper's gridworld, as its PPO tutorial shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.data import Binary, Bounded, Composite, Unbounded
from torchrl.data import Categorical as Number
from torchrl.envs import EnvBase
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from routed_rl.worlds.vec_env import VecEnv


class World(EnvBase):
    """B environments of ours as one of torchrl's, with the true reward."""

    batch_locked = True

    def __init__(self, env: VecEnv) -> None:
        """Wrap `env`."""
        super().__init__(device="cpu", batch_size=[env.num_envs])
        self._env = env
        self._obs = env.reset().flatten(1)
        count, width = self._obs.shape
        self.observation_spec = Composite(
            observation=Bounded(0.0, 1.0, (count, width)), shape=(count,)
        )
        self.action_spec = Number(env.spec.num_actions, (count,))
        self.reward_spec = Unbounded((count, 1))
        self.done_spec = Composite(
            done=Binary(1, (count, 1), dtype=torch.bool),
            terminated=Binary(1, (count, 1), dtype=torch.bool),
            truncated=Binary(1, (count, 1), dtype=torch.bool),
            shape=(count,),
        )

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDict:
        # Our environments begin anew by themselves.
        return TensorDict({"observation": self._obs}, [self._env.num_envs])

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        step = self._env.step(tensordict["action"])
        self._obs = step.obs.flatten(1)
        told = {
            "observation": step.final_obs.flatten(1),
            "reward": step.true_reward[:, None],
            "terminated": step.terminated[:, None],
            "truncated": step.truncated[:, None],
            "done": (step.terminated | step.truncated)[:, None],
        }
        return TensorDict(told, [self._env.num_envs])

    def _set_seed(self, seed: int | None) -> None:
        """Do nothing: the seed is given when the environments are made."""


def run(
    env: VecEnv,
    evaluate: Callable[[Tensor], float],
    frames: Tensor,
    goal: float,
    limit: int,
    *,
    n_steps: int,
    batch_size: int,
    n_epochs: int,
    learning_rate: float,
    hidden: tuple[int, ...],
    ent_coef: float,
    seed: int = 0,
) -> tuple[int, float, float]:
    """Train until a goal, or for `limit` steps.

    Args:
        env: the environments.
        evaluate: the exact return of action probabilities (S, A).
        frames: what is seen in each state, (S, D).
        goal: return to reach.
        limit: environment steps.
        n_steps: and all others: of PPO, named as in Stable-Baselines3.
        batch_size: samples an optimiser step.
        n_epochs: passes over a rollout.
        learning_rate: of Adam.
        hidden: widths of actor and critic.
        ent_coef: coefficient of the entropy bonus.
        seed: of networks and actions.

    Returns:
        Steps, seconds of training, and the best return.
    """
    torch.manual_seed(seed)
    world = World(env)
    width = frames.shape[1]

    def mlp(outputs: int) -> MLP:
        return MLP(width, outputs, num_cells=list(hidden), activation_class=nn.ReLU)

    net = mlp(env.spec.num_actions)
    actor = ProbabilisticActor(
        TensorDictModule(net, in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        spec=world.action_spec,
        distribution_class=Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(mlp(1), in_keys=["observation"])
    advantage = GAE(gamma=env.spec.discount, lmbda=0.95, value_network=critic)
    loss_of = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=0.2,
        entropy_coeff=ent_coef,
        critic_coeff=0.5,
        loss_critic_type="l2",
        normalize_advantage=True,
    )
    optimizer = torch.optim.Adam(loss_of.parameters(), learning_rate)
    per_batch = n_steps * env.num_envs
    collector = Collector(
        world,
        actor,
        frames_per_batch=per_batch,
        total_frames=-1,
        auto_register_policy_transforms=False,  # the policy has no memory to reset
    )
    seconds, steps, best = 0.0, 0, -1.0
    began = time.perf_counter()
    for batch in collector:
        with torch.no_grad():
            advantage(batch)
        flat = batch.reshape(-1)
        for _ in range(n_epochs):
            for index in torch.randperm(per_batch).split(batch_size):
                losses = loss_of(flat[index])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                loss.backward()
                nn.utils.clip_grad_norm_(loss_of.parameters(), 0.5)
                optimizer.step()
                optimizer.zero_grad()
        steps += per_batch
        seconds += time.perf_counter() - began
        with torch.no_grad():
            best = max(best, evaluate(net(frames).softmax(dim=1)))
        if best >= goal or steps >= limit:
            break
        began = time.perf_counter()
    collector.shutdown()
    return steps, seconds, best
