"""How fast everything is, beside the machine's own limit: `make bench`.

Measures in one run and prints ratios, since machines differ: the float32 matrix-product rate, the environment
alone (random and goal-seeking), collecting, updating and both together, for the default settings and the paper's.
Medians of five. "Share" is the floating-point work that the dense method would do per second, divided by the
machine's matrix-product rate: above 1 means that work was left out (samples that look the same are computed once).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from routed_rl import cli, labels  # noqa: E402
from routed_rl.env import VecEnv  # noqa: E402
from routed_rl.networks import FirstLayer  # noqa: E402
from routed_rl.rollout import Frames, collect  # noqa: E402
from routed_rl.run import Run  # noqa: E402

RUNS = 5


def median_seconds(action: Callable[[], object], *, warm_up: int = 2) -> float:
    """Time an action."""
    for _ in range(warm_up):
        action()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def gemm_rate() -> float:
    """Measure float32 operations per second of a matrix product of the sizes that training has."""
    a, b = torch.randn(4096, 256), torch.randn(256, 256)
    return 50 * 2 * 4096 * 256 * 256 / median_seconds(lambda: [a @ b for _ in range(50)])


def env_rate(env: VecEnv, *, seeking: bool) -> float:
    """Measure environment steps per second, with random or with goal-seeking actions."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(env.spec.num_actions, (200, env.num_envs), generator=generator)
    seconds = 0.0
    obs = env.reset()
    for t in range(200):
        action = towards_the_good_end(obs) if seeking else actions[t]
        began = time.perf_counter()
        obs = env.step(action).obs
        seconds += time.perf_counter() - began
    return 200 * env.num_envs / seconds


def towards_the_good_end(obs: torch.Tensor) -> torch.Tensor:
    """Step towards the diamond of each gridworld."""
    columns = obs.shape[-1]
    agent, target = (obs[:, plane].flatten(1).argmax(dim=1) for plane in (0, 1))
    down, right = target // columns - agent // columns, target % columns - agent % columns
    return torch.where(down != 0, (down > 0).long(), 2 + (right > 0).long())


def dense_work(modules: Sequence[nn.Module], *, passes: int) -> int:
    """Count the operations of the dense method per environment step: one forward to act, `passes` times learning.

    A backward is two forwards, less the gradient of the observation, which nobody needs.
    """
    work = 0
    for module in modules:
        sizes = [2 * weight.numel() for weight in module.parameters() if weight.ndim == 2]
        takes_obs = any(isinstance(layer, FirstLayer) for layer in module.modules())
        work += sum(sizes) + passes * (3 * sum(sizes) - (sizes[0] if takes_obs else 0))
    return work


def bench(name: str, flags: Sequence[str], gemm: float) -> None:
    """Print how fast one setting is."""
    run: Run = cli.build(flags)
    env = run.make_env(run.settings.num_envs, seed=0)
    agent = run.make_agent(env)
    steps = run.settings.agent.rollout_steps
    obs = env.reset()
    samples = steps * env.num_envs

    def one_rollout() -> None:
        nonlocal obs, rollout
        rollout = collect(env, agent.act, obs, steps, frames)
        obs = rollout.last_obs

    frames = Frames.like(obs, steps)
    rollout = collect(env, agent.act, obs, steps, frames)
    collecting = median_seconds(one_rollout)
    updating = median_seconds(lambda: agent.update(labels.hide(rollout, env.spec.outcome_rewards)))
    both = collecting + updating
    stepping = steps * env.num_envs / env_rate(env, seeking=True)
    passes = run.settings.agent.epochs if run.settings.agent.algorithm == "ppo" else 1
    work = dense_work(agent.learner.modules, passes=passes) * samples / both
    times = f"collect {collecting * 1e3:4.0f} ms  update {updating * 1e3:4.0f} ms  {samples / both:7,.0f} steps/s"
    print(f"{name:<7} {times}  environment {stepping / both:5.1%}  share {work / gemm:4.2f}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads for torch")
    torch.set_num_threads(parser.parse_args().threads)
    gemm = gemm_rate()
    print(
        f"{torch.get_num_threads()} threads, float32 matrix product {gemm / 1e9:.0f} GFLOP/s, torch {torch.__version__}"
    )
    for num_envs in (64, 512, 4096):
        env = cli.build([]).make_env(num_envs, seed=0)
        rates = [env_rate(env, seeking=seeking) for seeking in (False, True)]
        print(
            f"environment alone, {num_envs:>5} envs: random {rates[0]:>10,.0f} steps/s, goal-seeking {rates[1]:>10,.0f}"
        )
    bench("default", [], gemm)
    bench("paper", ["--config", str(ROOT / "configs" / "paper.yaml")], gemm)


if __name__ == "__main__":
    main()
