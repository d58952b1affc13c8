"""What a GPU does: environment steps a second, training steps a second, and the CPU's numbers.

    python benchmarks/gpu.py [--device cuda] [--envs 512 4096 32768]

Three tables, of `routed` in the gridworld with default settings but for the number of environments:

1. steps a second of the environment alone, with random actions;
2. steps a second end to end, acting and learning; a minibatch is a quarter of a rollout, as it is
   by default;
3. how far parameters and log-probabilities are from the CPU's after five updates on the same
   rollouts. A minibatch is the whole rollout there, since each device shuffles in its own order.

Threads of the CPU are those that torch takes; `OMP_NUM_THREADS` sets them. Each rate is the median
of three. `benchmarks/many_seeds.py` trains many seeds as one program.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from benchmarks.speed import median_seconds, wait
from routed_rl.agents import routed
from routed_rl.rollouts import labels
from routed_rl.rollouts.rollout import Frames, VisibleRollout, collect
from routed_rl.training.builder import build
from routed_rl.training.setup import Setup

ENV_STEPS = 64
"""Steps that the environment alone is timed over."""
RUNS = 3
"""A rate is the median of so many."""
UPDATES = 5
"""After so many updates the devices are compared."""


def setup(device: str, num_envs: int, minibatches: int = 4) -> Setup:
    """Put a run of `routed` in the gridworld together."""
    samples = num_envs * routed.Config().rollout_steps
    size = ("--agent.batch-size", str(samples // minibatches))
    return build(["--device", device, "--num-envs", str(num_envs), *size])


def waiting(action: Callable[[], object], device: str) -> Callable[[], None]:
    """Let an action wait until the device has done what it was given."""

    def act() -> None:
        action()
        wait(torch.device(device))

    return act


def env_rate(device: str, num_envs: int) -> float:
    """Return steps a second of the environment alone."""
    env = setup(device, num_envs).make_env(num_envs, seed=0)
    env.reset()
    shape = (ENV_STEPS, num_envs)
    actions = torch.randint(env.spec.num_actions, shape, device=env.device)
    play = waiting(lambda: [env.step(action) for action in actions], device)
    seconds = median_seconds(play, warm_up=1, runs=RUNS)
    return actions.numel() / seconds


def train_rate(device: str, num_envs: int) -> float:
    """Return steps a second of a rollout and the update that follows."""
    made = setup(device, num_envs)
    env = made.make_env(num_envs, seed=0)
    agent = made.make_agent(env)
    obs = env.reset()
    frames = Frames.like(obs, agent.rollout_steps)

    def update() -> None:
        nonlocal obs
        rollout = collect(env, agent.act, obs, agent.rollout_steps, frames)
        agent.update(labels.hide(rollout, env.spec))
        obs = rollout.last_obs

    seconds = median_seconds(waiting(update, device), warm_up=1, runs=RUNS)
    return agent.rollout_steps * num_envs / seconds


def difference(device: str, num_envs: int) -> dict[str, float]:
    """Say how far a device is from the CPU after `UPDATES` updates on the same rollouts."""
    here = setup("cpu", num_envs, minibatches=1)
    there = setup(device, num_envs, minibatches=1)
    env = here.make_env(num_envs, seed=0)
    agent: Any = here.make_agent(env)
    other: Any = there.make_agent(there.make_env(num_envs, seed=0))
    obs = env.reset()
    seen = None
    for _ in range(UPDATES):
        rollout = collect(env, agent.act, obs, agent.rollout_steps)
        obs = rollout.last_obs
        seen = labels.hide(rollout, env.spec)
        agent.update(seen)
        other.update(moved(seen, there.device))
    assert seen is not None
    frames = seen.obs.flatten(0, 1)
    with torch.no_grad():
        ours = agent.learner.policy(frames).actions.log_softmax(1)
        theirs = other.learner.policy(frames.to(there.device)).actions.log_softmax(1)
    pairs = zip(agent.learner.modules, other.learner.modules, strict=True)
    apart = torch.cat(
        [
            (mine - its.cpu()).abs().flatten()
            for module, twin in pairs
            for mine, its in zip(module.parameters(), twin.parameters(), strict=True)
        ]
    )
    return {
        "largest difference of log-probabilities": (ours - theirs.cpu()).abs().max().item(),
        "largest difference of parameters": apart.max().item(),
        "share of parameters further than 1e-4 apart": (apart > 1e-4).float().mean().item(),
    }


def moved(rollout: VisibleRollout, device: torch.device) -> VisibleRollout:
    """Copy a rollout to a device. What is cached for a CPU stays behind."""
    columns = {field.name: getattr(rollout, field.name) for field in fields(rollout)}
    there = {name: None if x is None else x.to(device) for name, x in columns.items()}
    return VisibleRollout(**there | {"obs_hash": None})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--envs", type=int, nargs="+", default=[512, 4096, 32_768])
    args = parser.parse_args()
    devices = list(dict.fromkeys(("cpu", args.device)))
    print(f"| million steps a second | environments | {' | '.join(devices)} |")
    print("|---|---|" + "---|" * len(devices))
    for name, rate in (("environment", env_rate), ("end to end", train_rate)):
        for num_envs in args.envs:
            rates = " | ".join(f"{rate(device, num_envs) / 1e6:.2f}" for device in devices)
            print(f"| {name} | {num_envs:,} | {rates} |", flush=True)
    for name, value in difference(args.device, args.envs[0]).items():
        print(f"{name} after {UPDATES} updates: {value:.1e}")


if __name__ == "__main__":
    main()
