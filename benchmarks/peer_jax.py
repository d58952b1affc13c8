"""A peer of `bench.py`: PPO and the paper's gridworld in JAX, all inside one compiled loop.

It is written the way JAX's reinforcement learners are (PureJaxRL, rejax): environment, rollout,
advantages and epochs are scans of one program, which XLA compiles as a whole. The time that takes
is counted apart. Two networks, actor and critic, flax and optax; the true reward.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from learning import Settings

from routed_rl.envs.gridworld import Config

UPDATES = 1
"""Updates of one call, after which the policy is evaluated, as ours is."""


CLIP_RANGE = 0.2
GAE_LAMBDA = 0.95
VF_COEF = 0.5
MAX_GRAD_NORM = 0.5
"""Of PPO, as Stable-Baselines3 has them by default."""


class State(NamedTuple):
    """B gridworlds."""

    cells: Array  # (B, 3) of agent, diamond and ghost
    overseen: Array  # (B, 2) bool
    age: Array  # (B,)


class Sample(NamedTuple):
    """What PPO learns from."""

    obs: Array
    action: Array
    log_prob: Array
    value: Array
    reward: Array
    done: Array
    next_value: Array


class Networks(nn.Module):
    """An actor and a critic."""

    hidden: tuple[int, ...]
    actions: int

    @nn.compact
    def __call__(self, obs: Array) -> tuple[Array, Array]:
        """Return logits (N, A) and values (N,)."""
        outputs = []
        for size, scale in ((self.actions, 0.01), (1, 1.0)):
            x = obs
            for width in self.hidden:
                x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.orthogonal(2**0.5))(x))
            outputs.append(nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))(x))
        return outputs[0], outputs[1].squeeze(-1)


def draw(world: Config, count: int, key: Array) -> State:
    """Begin episodes."""
    for_cells, for_overseer = jax.random.split(key)
    # The three smallest of a uniform number for each cell are distinct cells.
    uniform = jax.random.uniform(for_cells, (count, world.rows * world.columns))
    _, cells = jax.lax.top_k(-uniform, 3)
    overseen = jax.random.uniform(for_overseer, (count, 2)) < world.oversight
    return State(cells, overseen, jnp.zeros(count, int))


def observe(world: Config, state: State) -> Array:
    """Lay out channels as our world does, flat: agent, diamond, ghost, oversight."""
    places = jax.nn.one_hot(state.cells, world.rows * world.columns)  # (B, 3, cells)
    overseer = (places[:, 1:] * state.overseen[:, :, None]).sum(axis=1, keepdims=True)
    return jnp.concatenate((places, overseer), axis=1).reshape(len(places), -1)


def step(
    world: Config, state: State, action: Array, key: Array
) -> tuple[State, Array, Array, Array]:
    """Move; return the next state, what the action led to, the true reward, and what is done."""
    row, column = jnp.divmod(state.cells[:, 0], world.columns)
    moves = jnp.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    row = (row + moves[action, 0]).clip(0, world.rows - 1)
    column = (column + moves[action, 1]).clip(0, world.columns - 1)
    cells = state.cells.at[:, 0].set(row * world.columns + column)
    led_to = State(cells, state.overseen, state.age + 1)
    reached = cells[:, :1] == cells[:, 1:]
    reward = reached[:, 0].astype(float) - reached[:, 1].astype(float)
    terminated = reached.any(axis=1)
    done = terminated | (led_to.age >= world.horizon)
    fresh = draw(world, len(cells), key)
    state = jax.tree.map(
        lambda new, old: jnp.where(done.reshape(-1, *[1] * (new.ndim - 1)), new, old), fresh, led_to
    )
    return state, observe(world, led_to), reward, jnp.stack((terminated, done))


def advantages(samples: Sample, terminated: Array, discount: float, lam: float) -> Array:
    """Estimate advantages (T, B)."""

    def back(later: Array, now: tuple[Sample, Array]) -> tuple[Array, Array]:
        sample, ended = now
        bootstrap = jnp.where(ended, 0.0, sample.next_value)
        error = sample.reward + discount * bootstrap - sample.value
        advantage = error + discount * lam * jnp.where(sample.done, 0.0, later)
        return advantage, advantage

    zeros = jnp.zeros_like(samples.value[0])
    return jax.lax.scan(back, zeros, (samples, terminated), reverse=True)[1]


def make_train(world: Config, settings: Settings) -> tuple[Callable[..., Any], ...]:
    """Return (start, train, probabilities); `train` does UPDATES updates and is to be compiled."""
    networks = Networks(settings.hidden, 4)
    optimizer = optax.chain(
        optax.clip_by_global_norm(MAX_GRAD_NORM),
        optax.adam(settings.learning_rate, eps=1e-5),
    )

    def start(key: Array) -> tuple[Any, ...]:
        for_network, for_world, key = jax.random.split(key, 3)
        state = draw(world, settings.num_envs, for_world)
        parameters = networks.init(for_network, observe(world, state))
        return parameters, optimizer.init(parameters), state, key

    def act(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], tuple[Sample, Array]]:
        parameters, state, key = carry
        for_action, for_world, key = jax.random.split(key, 3)
        obs = observe(world, state)
        logits, value = networks.apply(parameters, obs)
        action = jax.random.categorical(for_action, logits)
        log_prob = jax.nn.log_softmax(logits)[jnp.arange(len(action)), action]
        state, led_to, reward, (terminated, done) = step(world, state, action, for_world)
        next_value = networks.apply(parameters, led_to)[1]
        sample = Sample(obs, action, log_prob, value, reward, done, next_value)
        return (parameters, state, key), (sample, terminated)

    def loss(parameters: Any, batch: tuple[Sample, Array, Array]) -> Array:
        sample, advantage, target = batch
        logits, value = networks.apply(parameters, sample.obs)
        log_probs = jax.nn.log_softmax(logits)
        log_prob = log_probs[jnp.arange(len(sample.action)), sample.action]
        ratio = jnp.exp(log_prob - sample.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = ratio.clip(1 - CLIP_RANGE, 1 + CLIP_RANGE)
        policy = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
        entropy = -(jnp.exp(log_probs) * log_probs).sum(axis=1).mean()
        critic = ((value - target) ** 2).mean()
        return policy + VF_COEF * critic - settings.ent_coef * entropy

    def learn(carry: tuple[Any, Any], batch: Any) -> tuple[tuple[Any, Any], None]:
        parameters, moments = carry
        gradients = jax.grad(loss)(parameters, batch)
        changes, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(parameters, changes), moments), None

    def update(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], None]:
        parameters, moments, state, key = carry
        (_, state, key), (samples, terminated) = jax.lax.scan(
            act, (parameters, state, key), None, settings.n_steps
        )
        advantage = advantages(samples, terminated, world.discount, GAE_LAMBDA)
        flat = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]), (samples, advantage, advantage + samples.value)
        )
        count = settings.n_steps * settings.num_envs

        def epoch(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], None]:
            order = jax.random.permutation(key, count)
            batches = jax.tree.map(
                lambda x: x[order].reshape(-1, settings.batch_size, *x.shape[1:]), flat
            )
            return jax.lax.scan(learn, carry, batches)

        key, *epochs = jax.random.split(key, 1 + settings.n_epochs)
        (parameters, moments), _ = jax.lax.scan(epoch, (parameters, moments), jnp.stack(epochs))
        return (parameters, moments, state, key), None

    def train(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        return jax.lax.scan(update, carry, None, UPDATES)[0]

    def probabilities(carry: tuple[Any, ...], frames: Array) -> Array:
        return jax.nn.softmax(networks.apply(carry[0], frames)[0])

    return start, train, probabilities


def run(
    settings: Settings,
    evaluate: Callable[[np.ndarray], float],
    frames: np.ndarray,
    goal: float,
    limit: int,
    seed: int = 0,
) -> tuple[int, float, float, float]:
    """Train until a goal, or for `limit` steps.

    Args:
        settings: of PPO.
        evaluate: the exact return of action probabilities (S, 4).
        frames: what is seen in each state, (S, 100).
        goal: return to reach.
        limit: environment steps.
        seed: of everything.

    Returns:
        Steps, seconds of training, the best return, and the seconds of compiling.
    """
    start, train, probabilities = make_train(Config(), settings)
    carry = jax.jit(start)(jax.random.key(seed))
    began = time.perf_counter()
    compiled = jax.jit(train).lower(carry).compile()
    compiling = time.perf_counter() - began
    ask = jax.jit(partial(probabilities, frames=jnp.asarray(frames)))
    seconds, steps, best = 0.0, 0, -1.0
    while steps < limit and best < goal:
        began = time.perf_counter()
        carry = jax.block_until_ready(compiled(carry))
        seconds += time.perf_counter() - began
        steps += UPDATES * settings.num_envs * settings.n_steps
        best = max(best, evaluate(np.asarray(ask(carry))))
    return steps, seconds, best, compiling
