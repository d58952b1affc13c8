"""Plain reinforcement learning: our learner and Stable-Baselines3's in well-known environments.

    python benchmarks/plain_rl.py --out plain.csv [--only CartPole-v1] [--seeds 0 1 2]

Stable-Baselines3's PPO gets the settings of rl-baselines3-zoo. Ours is the agent `oracle`: where no
outcome is named it learns from what the environment pays. Its run is that of `python train.py` with
the flags of OURS, which were found on other seeds.

Each run trains for as many steps as TASKS says, then plays 100 episodes with sampled actions and
100 with deterministic ones, from a seed that training does not use. Returns are undiscounted. The
seconds are those of the processor, on one thread, in training alone. A row is written as soon as it
is known. Runs that the file has are skipped, so the script can be stopped and started again.

Where we differ from the zoo: CartPole, Pendulum and DoorKey train longer than its 100,000 steps,
and linear schedules end with our steps. It has no settings for FrozenLake, which gets the defaults
of Stable-Baselines3 with 8 environments. LunarLander needs `pip install "gymnasium[box2d]"`.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import torch
from minigrid.wrappers import FlatObsWrapper
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule, safe_mean
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from routed_rl.training import builder
from routed_rl.training.run import Run as TrainingRun

TASKS: dict[str, int] = {
    "CartPole-v1": 200_000,
    "Pendulum-v1": 500_000,
    "FrozenLake-v1": 500_000,
    "MiniGrid-DoorKey-5x5-v0": 500_000,
    "Acrobot-v1": 1_000_000,
    "LunarLander-v3": 1_000_000,
}
"""The steps of training in each environment, cheap ones first."""

EPISODES = 100
"""The episodes that a mean return is of."""

FIELDS = ("env", "learner", "seed", "steps", "seconds", "sampled_return", "deterministic_return")
"""The columns of the file."""


class Run(NamedTuple):
    """What names a run, in the file too."""

    env: str
    learner: str
    seed: int


class Trained(NamedTuple):
    """What came out of a run."""

    steps: int
    seconds: float
    """The processor's time in training alone."""
    sampled_return: float
    deterministic_return: float


Learner = Callable[[str, int, int], Trained]
"""Trains in an environment for some steps, from a seed."""


@dataclass(frozen=True)
class Zoo:
    """Settings as in the zoo's hyperparams/ppo.yml; what is not given is PPO's default."""

    n_envs: int
    ppo: dict[str, Any] = field(default_factory=dict)
    """Arguments of PPO."""
    normalize: bool = False
    """Whether observations and rewards are normalised by running statistics."""
    wrapper: Callable[[gym.Env], gym.Env] | None = None


def falling(start: float) -> LinearSchedule:
    """Fall linearly to 0 at the end of training: the zoo's `lin_`."""
    return LinearSchedule(start, end=0.0, end_fraction=1.0)


ZOO: dict[str, Zoo] = {
    "CartPole-v1": Zoo(
        n_envs=8,
        ppo=dict(n_steps=32, batch_size=256, n_epochs=20, gae_lambda=0.8, gamma=0.98)
        | dict(ent_coef=0.0, learning_rate=falling(0.001), clip_range=falling(0.2)),
    ),
    "Pendulum-v1": Zoo(
        n_envs=4,
        ppo=dict(n_steps=1024, n_epochs=10, gae_lambda=0.95, gamma=0.9, ent_coef=0.0)
        | dict(learning_rate=1e-3, clip_range=0.2, use_sde=True, sde_sample_freq=4),
    ),
    "FrozenLake-v1": Zoo(n_envs=8),
    "MiniGrid-DoorKey-5x5-v0": Zoo(
        n_envs=8,
        normalize=True,
        wrapper=FlatObsWrapper,
        ppo=dict(n_steps=128, batch_size=64, n_epochs=10, gae_lambda=0.95, gamma=0.99)
        | dict(ent_coef=0.0, learning_rate=2.5e-4, clip_range=0.2),
    ),
    "Acrobot-v1": Zoo(
        n_envs=16,
        normalize=True,
        ppo=dict(n_steps=256, n_epochs=4, gae_lambda=0.94, gamma=0.99, ent_coef=0.0),
    ),
    "LunarLander-v3": Zoo(
        n_envs=16,
        ppo=dict(n_steps=1024, batch_size=64, n_epochs=4, gae_lambda=0.98, gamma=0.999)
        | dict(ent_coef=0.01),
    ),
}
"""The zoo's settings, by environment (DLR-RM/rl-baselines3-zoo, commit 22e3ff2)."""


def stable_baselines3(name: str, steps: int, seed: int) -> Trained:
    """Train PPO with the zoo's settings."""
    zoo = ZOO[name]
    env: VecEnv = make_vec_env(name, zoo.n_envs, seed=seed, wrapper_class=zoo.wrapper)
    if zoo.normalize:
        env = VecNormalize(env, gamma=zoo.ppo["gamma"])
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **zoo.ppo)
    began = time.process_time()
    model.learn(steps, callback=_Progress(steps))
    seconds = time.process_time() - began
    if isinstance(env, VecNormalize):
        env.training = False
    sampled = mean_return(model, env, deterministic=False)
    deterministic = mean_return(model, env, deterministic=True)
    env.close()
    return Trained(model.num_timesteps, seconds, sampled, deterministic)


def mean_return(model: PPO, env: VecEnv, *, deterministic: bool) -> float:
    """Play EPISODES episodes, and return the mean of their rewards' sums.

    Each environment plays a share that is fixed beforehand, lest short episodes count more.
    """
    shares = [(EPISODES + index) // env.num_envs for index in range(env.num_envs)]
    returns: list[list[float]] = [[] for _ in shares]
    obs: Any = env.reset()
    step = 0
    while any(len(done) < share for done, share in zip(returns, shares, strict=True)):
        # PPO.predict keeps the noise of state-dependent exploration; training renews it like this.
        if model.use_sde and step % model.sde_sample_freq == 0:
            model.policy.reset_noise(env.num_envs)
        actions, _ = model.predict(obs, deterministic=deterministic)
        obs, _, _, infos = env.step(actions)
        step += 1
        for done, share, info in zip(returns, shares, infos, strict=True):
            if "episode" in info and len(done) < share:
                done.append(info["episode"]["r"])
    return sum(map(sum, returns)) / EPISODES


class _Progress(BaseCallback):
    """Prints a line for each tenth of a run."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.tenths = 0

    def _on_training_start(self) -> None:
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        tenths = 10 * self.num_timesteps // self.steps
        if tenths > self.tenths:
            self.tenths = tenths
            seconds = time.perf_counter() - self._began
            left = max(0.0, seconds * (self.steps / self.num_timesteps - 1))
            recent = safe_mean([episode["r"] for episode in self.model.ep_info_buffer or ()])
            print(f"  {self.num_timesteps:>9,} steps, return {recent:8.2f}, {left:5.0f} s left")


OURS: dict[str, str] = {
    "CartPole-v1": "--config vector",
    "Pendulum-v1": "--config vector --env.discount 0.9 --agent.learning-rate 1e-3 "
    "--agent.activation relu",
    "FrozenLake-v1": "--config board --agent.ent-coef 0.05 --agent.entropy-schedule linear",
    "MiniGrid-DoorKey-5x5-v0": "--config board",
    "Acrobot-v1": "--config vector --agent.gae-lambda 0.94",
    "LunarLander-v3": "--config vector --env.discount 0.999 --agent.gae-lambda 0.98 "
    "--agent.ent-coef 0.01",
}
"""Our flags, by environment."""


def flags(name: str, steps: int, seed: int) -> str:
    """Return what `python train.py` is given to repeat a run of ours."""
    # The number that shows the oversight would only be in the way.
    run = f"--env.no-show-oversight --device cpu --steps {steps} --seed {seed}"
    return f"{OURS[name]} --env {name} --agent oracle {run}"


def ours(name: str, steps: int, seed: int) -> Trained:
    """Train our learner, as train.py does."""
    # Evaluations would be timed with training, and change nothing in it.
    given = f"{flags(name, steps, seed)} --evaluations 0 --episodes 1"
    setup = builder.build(given.split())
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(setup, Path(folder))
        began = time.process_time()
        if run.train():
            raise KeyboardInterrupt
        seconds = time.process_time() - began
        sampled, deterministic = (score(run, greedy=greedy) for greedy in (False, True))
        return Trained(run.result["env_steps"], seconds, sampled, deterministic)


def score(run: TrainingRun, *, greedy: bool) -> float:
    """Play EPISODES episodes, from the run's own seed for evaluation; return their mean return."""
    report = run.evaluate(episodes=EPISODES, greedy=greedy)["policy"]
    assert report.score is not None
    return report.score


LEARNERS: dict[str, Learner] = {"sb3_ppo": stable_baselines3, "routed_rl": ours}


def known(path: Path) -> list[dict[str, str]]:
    """Read the rows that a file has."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add_row(path: Path, run: Run, trained: Trained) -> None:
    """Add the row of a run."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(FIELDS)
        steps, *numbers = trained
        writer.writerow([*run, steps, *(f"{number:.4f}" for number in numbers)])


def seconds_left(waiting: Sequence[Run], steps: Sequence[int], path: Path) -> float:
    """Estimate how long runs will train, by rows of the same kind, or by all if there are none."""
    rows = known(path)
    seconds = 0.0
    for run, count in zip(waiting, steps, strict=True):
        same = [row for row in rows if (row["env"], row["learner"]) == (run.env, run.learner)]
        trained = sum(int(row["steps"]) for row in same or rows)
        seconds += count * sum(float(row["seconds"]) for row in same or rows) / trained
    return seconds


def main() -> None:
    """Go through the runs that the file lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the csv file to add rows to")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), metavar="ENV")
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--most-steps", type=int, help="to try it, in a file of its own")
    args = parser.parse_args()
    torch.set_num_threads(1)
    there = {(row["env"], row["learner"], int(row["seed"])) for row in known(args.out)}
    tasks = [name for name in TASKS if name in args.only]
    runs = [Run(e, name, seed) for seed in args.seeds for e in tasks for name in args.learners]
    runs = [run for run in runs if run not in there]
    steps = [min(TASKS[run.env], args.most_steps or TASKS[run.env]) for run in runs]
    for index, (run, count) in enumerate(zip(runs, steps, strict=True), start=1):
        print(f"{index}/{len(runs)} {run.env}, {run.learner}, seed {run.seed}: {count:,} steps")
        trained = LEARNERS[run.learner](run.env, count, run.seed)
        add_row(args.out, run, trained)
        minutes = seconds_left(runs[index:], steps[index:], args.out) / 60
        print(
            f"  return {trained.sampled_return:.2f} sampled, "
            f"{trained.deterministic_return:.2f} deterministic; "
            f"{len(runs) - index} runs left, about {minutes:.0f} min"
        )


if __name__ == "__main__":
    main()
