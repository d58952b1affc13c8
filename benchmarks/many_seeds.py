"""Many seeds of `routed` as one batched program, for a GPU.

    python benchmarks/many_seeds.py --seeds 64 --graph [--env.oversight 0.3 ...]

It takes the flags of `train.py` for the environment, the learner and the run's size.

Networks of all seeds are stacked, as `torch.func` does: each parameter has S of them in front. The
worlds of all seeds are one batch, and so is what a learner makes of them. Losses of the seeds are
added up; since none shares a parameter with another, each gets its own gradient. With `--graph` a
whole update, from acting to the last optimiser step, is one CUDA graph.

Networks begin as those of single runs do. Episodes, actions and minibatches come from one generator
for all seeds, so a seed's run is not the run that `train.py` makes of it. Nothing is saved: this
measures what such a program would gain.

Left out of the learner: samples of one input are not put together, and a module that a minibatch
may not train at all gets a gradient of zeros. With 2,048 samples there is no such module.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.speed import wait
from routed_rl.agents import routed
from routed_rl.algorithms.advantages import Transitions, advantages, normalised
from routed_rl.algorithms.batch import Batch, Inputs
from routed_rl.algorithms.learner import Learner
from routed_rl.algorithms.objective import Objective, Outputs
from routed_rl.models.policy import Policy
from routed_rl.models.steering import ablate
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Decision, Frames, Rollout, collect
from routed_rl.training.builder import build
from routed_rl.training.setup import Setup
from routed_rl.utils.adam import Adam
from routed_rl.utils.errors import UserError
from routed_rl.worlds.outcomes import expert_of
from routed_rl.worlds.spec import EnvSpec

Parameters = dict[str, Tensor]
"""By name, (S, *shape) each."""


ONLY: dict[str, Any] = {
    "algorithm": "ppo",
    "learning_rate_schedule": "constant",
    "clip_range_schedule": "constant",
    "entropy_schedule": "constant",
    "bootstrap": True,
    "base": None,
    "normalize_obs": False,
    "normalize_reward": False,
    "routes": "label",
    "infer": False,
    "credit": "segment",
}
"""What else these settings may be is left out."""


class Samples(NamedTuple):
    """What S learners learn from, N samples each."""

    obs: Tensor  # (S, N, *obs_shape)
    grad_mask: Tensor  # (S, N, E + 1)
    action: Tensor  # (S, N)
    log_prob: Tensor  # (S, N)
    advantage: Tensor  # (S, N)
    value_target: Tensor  # (S, N)
    weight: Tensor  # (S, N)
    gate_target: Tensor  # (S, N)

    def take(self, index: Tensor) -> Samples:
        """Return the samples of an index (S, M)."""
        rows = torch.arange(len(index), device=index.device)[:, None]
        return self._make(x[rows, index] for x in self)


class StackedLearner:
    """The learners of S agents of `routed`, with default settings or others, as one."""

    def __init__(self, learners: list[Learner], config: routed.Config, discount: float) -> None:
        """Stack the networks of learners that are shaped alike."""
        first = learners[0]
        self.config = config
        self.seeds = len(learners)
        self._discount = discount
        self._modules: tuple[Policy, nn.Module] = (first.policy, first.critic)
        stacked = [
            stack_module_state([learner.policy for learner in learners]),
            stack_module_state([learner.critic for learner in learners]),
        ]
        (self.policy, self._buffers), (self.critic, _) = stacked
        self._objective = Objective(config, first.policy.distribution, config.gate_loss)
        self._clipped = list(_by_module(self.policy, self.critic))
        values: list[Any] = [*self.policy.values(), *self.critic.values()]
        self._optimizer = Adam(values, config.learning_rate, weight_decay=config.weight_decay)
        self.generator = torch.Generator(values[0].device).manual_seed(0)

    @torch.no_grad()
    def act(self, obs: Tensor) -> Decision:
        """Sample actions for observations (S * B, *obs_shape), those of the first seed first."""
        policy, critic = self._modules
        own = obs.unflatten(0, (self.seeds, -1))

        def logits(parameters: Parameters, buffers: Parameters, obs: Tensor) -> Tensor:
            return functional_call(policy, (parameters, buffers), (obs,)).actions

        actions = vmap(logits)(self.policy, self._buffers, own).flatten(0, 1)
        value = vmap(lambda p, x: functional_call(critic, p, (x,)))(self.critic, own)
        distribution = self._objective.distribution
        action, log_prob = distribution.sample(actions, self.generator)
        return Decision(action, log_prob, value.flatten())

    def update(self, rollout: Rollout, spec: EnvSpec) -> None:
        """Learn from a rollout (T, S * B), each seed from its own columns."""
        samples = self._samples(rollout, spec)
        for _ in range(self.config.n_epochs):
            shape = samples.weight.shape
            noise = torch.rand(shape, generator=self.generator, device=samples.weight.device)
            for index in noise.argsort(dim=1).split(self.config.batch_size, dim=1):
                self.step(samples.take(index))

    def step(self, samples: Samples) -> None:
        """Take one optimiser step for each seed."""
        self._optimizer.zero_grad()
        losses = vmap(self._loss)(self.policy, self._buffers, self.critic, samples)  # (S,)
        losses.sum().backward()
        if self.config.max_grad_norm > 0:
            for module in self._clipped:
                _clip(module, self.config.max_grad_norm)
        self._optimizer.step()

    def _loss(
        self, policy: Parameters, buffers: Parameters, critic: Parameters, samples: Samples
    ) -> Tensor:
        """Compute the loss of one seed, a scalar."""
        networks = self._modules
        obs, grad_mask, *rest, gate_target = samples
        logits = functional_call(networks[0], (policy, buffers), (obs, grad_mask))
        values = functional_call(networks[1], critic, (obs,)).squeeze(1)
        every = torch.arange(len(obs), device=obs.device)
        batch = Batch(Inputs(obs, grad_mask), every, *rest, gate_target=gate_target)
        loss, _ = self._objective(Outputs(logits.actions, values, logits.gate), batch, batch)
        return loss

    @torch.no_grad()
    def _samples(self, rollout: Rollout, spec: EnvSpec) -> Samples:
        """Turn a rollout into samples, as `routed` does."""
        seen = labels.hide(rollout, spec)
        routes = labels.routes(seen.label, len(spec.outcomes))
        transitions = Transitions(
            reward=seen.reward,
            value=seen.value,
            next_value=self._next_value(rollout),
            terminated=seen.terminated,
            done=seen.done,
        )
        advantage, target = advantages(
            transitions, discount=self._discount, gae_lambda=self.config.gae_lambda
        )
        weight = torch.ones_like(advantage)
        own = (advantage.unflatten(1, (self.seeds, -1)), weight.unflatten(1, (self.seeds, -1)))
        advantage = vmap(normalised, in_dims=1, out_dims=1)(*own).flatten(1, 2)
        columns = (seen.obs, routes, seen.action, seen.log_prob, advantage, target, weight)
        return Samples(*(self._by_seed(x) for x in (*columns, expert_of(seen.label))))

    def _next_value(self, rollout: Rollout) -> Tensor:
        """Return the value of what each step led to, (T, S * B)."""
        # Of all frames, though few were cut: to count those, the host would wait for the device.
        cut = self._values(rollout.final_obs)
        last = self._values(rollout.last_obs[None])
        following = torch.cat((rollout.value[1:], last))
        return torch.where(rollout.truncated, cut, following)

    def _values(self, obs: Tensor) -> Tensor:
        """Ask the critics about frames (T, S * B, *obs_shape): (T, S * B)."""
        critic = self._modules[1]
        values = vmap(lambda p, x: functional_call(critic, p, (x,)))(
            self.critic, self._by_seed(obs)
        )
        return (
            values.reshape(self.seeds, len(obs), -1).movedim(0, 1).flatten(1)
        )  # from (S, T * B, 1)

    def _by_seed(self, x: Tensor) -> Tensor:
        """Turn (T, S * B, ...) into (S, T * B, ...)."""
        return x.unflatten(1, (self.seeds, -1)).movedim(1, 0).flatten(1, 2)

    def network(self, seed: int) -> Policy:
        """Return the policy of one seed; the next that is asked for takes its place."""
        policy, _ = self._modules
        policy.load_state_dict({name: x[seed] for name, x in self.policy.items()}, strict=False)
        return policy


def _by_module(policy: Parameters, critic: Parameters) -> Iterator[list[Tensor]]:
    """Yield the parameters of each expert, the gate, the head and the critic."""
    modules: dict[str, list[Tensor]] = {}
    for name, parameter in policy.items():
        parts = name.split(".")
        depth = 3 if "experts" in parts else 2 if "gate" in parts else 1
        modules.setdefault(".".join(parts[:depth]), []).append(parameter)
    yield from modules.values()
    yield list(critic.values())


def _clip(parameters: list[Tensor], most: float) -> None:
    """Scale the gradients (S, ...) of a module so that each seed's norm is `most` at most."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = sum(gradient.flatten(1).square().sum(dim=1) for gradient in gradients)
    assert isinstance(norm, Tensor)
    factor = (most / (norm.sqrt() + 1e-6)).clamp(max=1.0)  # (S,), as clip_grad_norm_ has it
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


class StackedRun:
    """S runs of `routed`, in a world whose state is tensors on the device."""

    def __init__(self, setup: Setup, seeds: int) -> None:
        """Begin S runs of what a setup says."""
        _check(setup)
        self._setup = setup
        config: Any = setup.config.agent
        num_envs = seeds * setup.config.settings.num_envs
        self.env = setup.make_env(num_envs, seed=setup.env_seed)
        spec = self.env.spec
        agents = [
            routed.Agent(spec, config, seed=seed, device=setup.device) for seed in range(seeds)
        ]
        learners = [agent.learner for agent in agents]
        self.learner = StackedLearner(learners, config, spec.discount)
        self.samples = num_envs * config.rollout_steps
        self._obs = self.env.reset().clone()
        self._frames = Frames.like(self._obs, config.rollout_steps)

    def update(self) -> None:
        """Play a rollout and learn from it."""
        steps = self.learner.config.rollout_steps
        rollout = collect(self.env, self.learner.act, self._obs, steps, self._frames)
        self.learner.update(rollout, self.env.spec)
        self._obs = rollout.last_obs

    def captured(self) -> Callable[[], None]:
        """Return `update` as a CUDA graph, whose input and output are the same memory."""
        state: Any = self.env.state_dict()
        del state["generator"]
        obs = self._obs.clone()
        state = {name: x.clone() for name, x in state.items()}
        graph = torch.cuda.CUDAGraph()
        for generator in (self.env._generator, self.learner.generator):  # type: ignore[attr-defined]
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self._obs = obs
            for name, x in state.items():
                setattr(self.env, f"_{name}", x)
            self.update()
            obs.copy_(self._obs)
            for name, x in state.items():
                x.copy_(getattr(self.env, f"_{name}"))
        # The graph reads and writes this memory for as long as it lives.
        self._captured = obs, state
        return graph.replay

    def returns(self) -> list[float]:
        """Evaluate the good expert of each seed."""
        evaluator = self._setup.make_evaluator()
        found = []
        for seed in range(self.learner.seeds):
            alone = ablate(self.learner.network(seed), {self.env.spec.target: 1.0})
            found.append(evaluator.returns({"good": alone})["good"].true_return)
        return found


def main() -> None:
    """Train and say how long it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=64, help="how many")
    parser.add_argument("--graph", action="store_true", help="replay each update as a CUDA graph")
    args, flags = parser.parse_known_args()
    try:
        setup = build(flags)
        run = StackedRun(setup, args.seeds)
    except UserError as error:
        parser.error(str(error))
    updates = -(-setup.config.settings.steps * args.seeds // run.samples)
    began = time.perf_counter()
    run.update()  # what is allocated once is allocated here
    update = run.captured() if args.graph else run.update
    wait(setup.device)
    ready = time.perf_counter()
    for _ in range(updates - 1):
        update()
    wait(setup.device)
    seconds = time.perf_counter() - ready
    rate = (updates - 1) * run.samples / seconds / 1e6
    print(
        f"{args.seeds} seeds, {updates} updates: {seconds:.2f} s after {ready - began:.1f} s to "
        f"begin; {rate:.2f}M steps a second"
    )
    returns = sorted(run.returns())
    mean = statistics.mean(returns)
    print(f"return of the good expert: {mean:.3f} ({returns[0]:.3f} to {returns[-1]:.3f})")


def _check(setup: Setup) -> None:
    """Raise UserError for what is left out."""
    if setup.config.names.agent != "routed":
        raise UserError(f"--agent is {setup.config.names.agent}: only routed is trained here.")
    for name, value in ONLY.items():
        given = getattr(setup.config.agent, name)
        if given != value:
            raise UserError(f"{name.replace('_', '-')} is {given}: only {value} is trained here.")


if __name__ == "__main__":
    main()
