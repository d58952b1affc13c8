"""`train`: train an agent in an environment, or go on with a run."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from routed_rl import checkpoint
from routed_rl.assembly import assemble, build, choose, settings_of
from routed_rl.config import UserError
from routed_rl.plugins import Kind, Plugins
from routed_rl.run import Run
from routed_rl.run_folder import new_folder

from ._result import show_result


def train(args: Sequence[str], prog: str = "train.py") -> int:
    """Train an agent in an environment, or continue a run."""
    given, flags = choose(args)
    if given.list:
        return _list(Plugins(given.plugin))
    if given.resume:
        return _resume(Path(given.resume), given, flags, prog)
    run = build(args, prog)
    if given.run_dir is None:
        folder = new_folder(run.choice, run.settings.seed)
    else:
        folder = Path(given.run_dir)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} exists already: give a new --run-dir, or go on with --resume {folder}.")
        folder.mkdir(parents=True, exist_ok=True)
    return _train(run, folder, resume=False)


def _resume(folder: Path, given: argparse.Namespace, flags: Sequence[str], prog: str) -> int:
    """Continue a run with the settings in its folder."""
    changed = [f"--{name}" for name in ("env", "agent", "config", "run_dir") if getattr(given, name) is not None]
    changed += [flag for flag in flags if flag.startswith("--") and flag.split("=")[0] != "--steps"]
    if changed:
        raise UserError(
            f"{changed[0]} was given with --resume, which keeps the run's settings: only --steps may change."
        )
    run = assemble(settings_of(folder), flags, prog, env=None, agent=None, plugins=given.plugin)
    return _train(run, folder, resume=True)


def _train(run: Run, folder: Path, *, resume: bool) -> int:
    """Train, and print what came out."""
    with checkpoint.locked(folder):
        stopped_by = run.train(folder, resume=resume)
    if stopped_by:
        print(f"stopped by {signal.Signals(stopped_by).name}, saved. Go on with: python train.py --resume {folder}")
        return 128 + stopped_by
    result = json.loads((folder / "result.json").read_text())
    agent = run.make_agent(run.make_env(1, seed=0))
    show_result(run, agent, run.make_evaluator(), result["policies"])
    seconds, labels = result["train_seconds"], result["labelled_episodes"]
    print(f"{result['env_steps']:,} steps in {seconds:.1f} s of training, {labels:,} labelled episodes.")
    print(f"Saved in {folder}. Curves: tensorboard --logdir {folder.parent}. More: python evaluate.py {folder} --help")
    return 0


def _list(plugins: Plugins) -> int:
    """Print the environments and agents there are."""
    kinds: tuple[tuple[Kind, str], ...] = (("envs", "environments"), ("agents", "agents"))
    for kind, title in kinds:
        print(f"{title}:")
        for name in plugins.names(kind):
            print(f"  {name:<18} {plugins.summary(kind, name)}")
    return 0
