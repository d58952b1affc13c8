"""The commands. The root scripts and the `routed-rl` script call these."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from routed_rl import checkpoint, config, steering
from routed_rl import sweep as experiments
from routed_rl.agent import Agent
from routed_rl.config import UserError
from routed_rl.evaluation import Evaluator, Report
from routed_rl.pictures import film
from routed_rl.plugins import Kind, Plugins
from routed_rl.report import show
from routed_rl.run import Choice, Run, new_folder

_TRAIN = """Train an agent in an environment.

  --env NAME         the environment: {envs} (default {choice.env})
  --agent NAME       the method: {agents} (default {choice.agent})
  --list             say what environments and agents there are
  --plugin FILE      a file or module with another environment or agent; may be given again
  --config FILE      yaml with settings; flags win over it
  --run-dir DIR      folder for the run's files; a new one under runs/ unless given
  --resume DIR       continue the run in DIR; only --steps may change
"""


@dataclass(frozen=True)
class EvaluateSettings:
    """How to evaluate a run."""

    steer: tuple[str, ...] = ()
    """Weights on experts, such as diamond=1 ghost=0: a policy with all others ablated."""
    episodes: int | None = None
    """Play this many episodes instead of evaluating exactly."""
    oversight: float | None = None
    """Evaluate at this probability of oversight instead of the one trained with."""
    greedy: bool = False
    """Take the likeliest action instead of sampling."""
    gif: Path | None = None
    """Write a film of the steered policy, or else of the deployed one."""
    export: Path | None = None
    """Write that policy to a .safetensors or .pt2 file."""
    json: bool = False
    """Print json instead of a table."""

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}: it must be at least 1.")


@dataclass(frozen=True)
class SweepSettings:
    """How to run a sweep."""

    out: Path | None = None
    """Folder for the runs; runs/NAME unless given."""
    launcher: experiments.Launcher = "local"
    """local: processes of this machine. ray: tasks of Ray, if it is installed."""
    jobs: int = max(os.cpu_count() or 1, 1)
    """How many runs at a time (local); each has one thread."""
    address: str | None = None
    """Address of a Ray cluster; without, Ray is started on this machine."""
    print_commands: bool = False
    """Print the commands of all unfinished runs and run none: for any other queue."""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}: it must be at least 1.")


@dataclass(frozen=True)
class PlotSettings:
    """What to draw."""

    out: Path | None = None
    """Folder for the figures; FOLDER/figures unless given."""


def train(args: Sequence[str], prog: str = "train.py") -> int:
    """Train an agent in an environment, or continue a run."""
    given, flags = _choose(args)
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


def build(args: Sequence[str], prog: str = "train.py") -> Run:
    """Build from the flags of `train` what it would train, without a folder."""
    given, flags = _choose(args)
    plain = config.read_yaml(Path(given.config)) if given.config else {}
    return _run(plain, flags, prog, env=given.env, agent=given.agent, plugins=given.plugin)


def evaluate(args: Sequence[str], prog: str = "evaluate.py") -> int:
    """Say what the policies of a run really do."""
    folder = args[0] if args and not args[0].startswith("-") else None
    description = f"Say what the policies of a run really do.\n\nusage: {prog} RUN_FOLDER [OPTIONS]"
    settings = config.parse(EvaluateSettings, args[1:] if folder else args, prog=prog, description=description)
    if folder is None:
        raise UserError(f"no run was given: {prog} RUN_FOLDER [OPTIONS].")
    run, agent = _load(Path(folder), prog)
    kwargs: dict[str, Any] = {"oversight": settings.oversight, "greedy": settings.greedy}
    if settings.episodes is not None:
        kwargs |= {"episodes": settings.episodes, "sampled": True}
    evaluator = run.make_evaluator(**kwargs)
    policies, chosen = agent.policies(), agent.deployed
    if settings.steer:
        chosen = " ".join(settings.steer)
        source = max(policies.values(), key=lambda policy: len(policy.blueprint.experts))
        policies = {chosen: steering.ablate(source, _weights(settings.steer))} | policies
    for file in (settings.export, settings.gif):
        if file is not None and not file.parent.is_dir():
            raise UserError(f"there is no folder {file.parent} for {file.name}: make it first.")
    if settings.gif is not None and settings.gif.suffix != ".gif":
        raise UserError(f"cannot write a film to {settings.gif.name!r}: end the name in .gif.")
    if settings.export is not None:
        steering.export(policies[chosen], settings.export)
    if settings.gif is not None:
        env = run.make_env(1, seed=run.settings.seed, oversight=settings.oversight)
        film(policies[chosen], env, settings.gif, steps=60, seed=run.settings.seed, greedy=settings.greedy)
    reports = evaluator.full(policies)
    if settings.json:
        print(json.dumps(reports, indent=2))
    else:
        _show(run, agent, evaluator, reports, oversight=settings.oversight, greedy=settings.greedy)
    return 0


def sweep(args: Sequence[str], prog: str = "sweep.py") -> int:
    """Run every experiment of a file."""
    path, args = (Path(args[0]), args[1:]) if args and not args[0].startswith("-") else (None, args)
    description = f"Run every experiment of a file.\n\nusage: {prog} FILE.toml [OPTIONS]"
    settings = config.parse(SweepSettings, args, prog=prog, description=description)
    if path is None:
        raise UserError(f"no sweep was given: {prog} sweeps/quick.toml [OPTIONS].")
    tasks = experiments.read(path, settings.out, lambda flags: build(flags).settings.steps)
    if settings.print_commands:
        print("\n".join(experiments.commands(tasks)))
        return 0
    failed = experiments.run(tasks, launcher=settings.launcher, jobs=settings.jobs, address=settings.address)
    folder = tasks[0].folder.parent
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    print(f"{len(tasks) - len(failed)} of {len(tasks)} runs are in {folder}. Figures: python plot.py {folder}")
    return 1 if failed else 0


def plot(args: Sequence[str], prog: str = "plot.py") -> int:
    """Draw figures and tables from a folder of runs."""
    from routed_rl import plotting  # matplotlib and scipy take a second

    path, args = (Path(args[0]), args[1:]) if args and not args[0].startswith("-") else (None, args)
    description = f"Draw figures and tables from a folder of runs.\n\nusage: {prog} FOLDER [OPTIONS]"
    settings = config.parse(PlotSettings, args, prog=prog, description=description)
    if path is None or not path.is_dir():
        raise UserError(f"{path or 'no folder'} was given: {prog} FOLDER, such as runs/quick after a sweep.")
    results, left_out = plotting.load(path)
    for name, why in left_out.items():
        print(f"left out: {name}: {why}.")
    if not results:
        raise UserError(f"{path} has no finished run: give the folder that a sweep wrote.")
    out = settings.out or path / "figures"
    files = plotting.draw(results, out)
    print(f"{len(results)} runs, {len(files)} files in {out}.")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str], str], int]] = {
    "train": train,
    "evaluate": evaluate,
    "sweep": sweep,
    "plot": plot,
}


def main(program: str, args: Sequence[str]) -> int:
    """Run `train.py ...` or `evaluate.py ...`, or else `PROGRAM COMMAND ...`; return the exit code."""
    if program.removesuffix(".py") in COMMANDS:
        return run_command(lambda flags: COMMANDS[program.removesuffix(".py")](flags, program), args)
    command, *rest = args or ["--help"]
    if command in ("-h", "--help"):
        print(f"usage: {program} {{{','.join(COMMANDS)}}} ...\n\nAdd --help to a command to see its flags.")
        return 0
    if command not in COMMANDS:
        return run_command(lambda _: _unknown(command, COMMANDS), rest)
    return run_command(lambda flags: COMMANDS[command](flags, f"{program} {command}"), rest)


def run_command(command: Callable[[Sequence[str]], int], args: Sequence[str]) -> int:
    """Run a command; what the caller can mend becomes one line and exit code 2."""
    try:
        return command(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. (See --help.)")


def _unknown(command: str, commands: Iterable[str]) -> NoReturn:
    raise UserError(f"there is no command {command!r}. {config.nearest(command, commands)}")


def _choose(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Take the flags that say what is trained and where out of the others, whose names depend on them."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in ("--env", "--agent", "--config", "--resume", "--run-dir"):
        parser.add_argument(name)
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    return parser.parse_known_args(args)


def _run(
    plain: dict[str, Any],
    flags: Sequence[str],
    prog: str,
    *,
    env: str | None,
    agent: str | None,
    plugins: Sequence[str],
) -> Run:
    """Put a run together from a yaml file's settings and the flags that win over them."""
    plain = {name: dict(value) if isinstance(value, dict) else value for name, value in plain.items()}
    plugins = (*plain.pop("plugins", ()), *plugins)
    names = {}
    for part, given, default in (("env", env, Choice.env), ("agent", agent, Choice.agent)):
        settings = plain.get(part) or {}
        if not isinstance(settings, dict):
            raise UserError(f"{part} is {settings!r} in the yaml file: write it as '{part}: {{name: {settings}}}'.")
        in_file = settings.pop("name", None)
        names[part] = given or in_file or default
        if given is not None and in_file is not None and given != in_file:
            plain.pop(part)  # settings of another environment or agent than the one wanted
    choice = Choice(names["env"], names["agent"], plugins)
    found = Plugins(plugins)
    listed = {kind: ", ".join(found.names(kind)) for kind in ("envs", "agents")}
    return Run(choice, [*config.to_flags(plain), *flags], prog=prog, description=_TRAIN.format(choice=Choice, **listed))


def _resume(folder: Path, given: argparse.Namespace, flags: Sequence[str], prog: str) -> int:
    """Continue a run with the settings in its folder."""
    changed = [f"--{name}" for name in ("env", "agent", "config", "run_dir") if getattr(given, name) is not None]
    changed += [flag for flag in flags if flag.startswith("--") and flag.split("=")[0] != "--steps"]
    if changed:
        raise UserError(
            f"{changed[0]} was given with --resume, which keeps the run's settings: only --steps may change."
        )
    run = _run(_settings_of(folder), flags, prog, env=None, agent=None, plugins=given.plugin)
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
    _show(run, agent, run.make_evaluator(), result["policies"])
    seconds, labels = result["train_seconds"], result["labelled_episodes"]
    print(f"{result['env_steps']:,} steps in {seconds:.1f} s of training, {labels:,} labelled episodes.")
    print(f"Saved in {folder}. Curves: tensorboard --logdir {folder.parent}. More: python evaluate.py {folder} --help")
    return 0


def _load(folder: Path, prog: str) -> tuple[Run, Agent]:
    """Rebuild a run's agent from its last checkpoint."""
    run = _run(_settings_of(folder), [], prog, env=None, agent=None, plugins=())
    agent = run.make_agent(run.make_env(1, seed=0))
    path = folder / "checkpoints" / "last.pt"
    run.restore(agent, checkpoint.load(path, run.device), path)
    return run, agent


def _settings_of(folder: Path) -> dict[str, Any]:
    """Read the settings of a run."""
    if not (folder / "config.yaml").exists():
        raise UserError(f"{folder} is no run: give a folder with a config.yaml, as train.py makes under runs/.")
    return config.read_yaml(folder / "config.yaml")


def _weights(pairs: Sequence[str]) -> dict[str, float]:
    """Read expert weights written as name=weight."""
    weights = {}
    for pair in pairs:
        name, _, weight = pair.partition("=")
        try:
            weights[name] = float(weight)
            if not math.isfinite(weights[name]):
                raise ValueError
        except ValueError:
            raise UserError(f"cannot read --steer {pair!r}: write name=weight, such as diamond=1.") from None
    return weights


def _show(
    run: Run,
    agent: Agent,
    evaluator: Evaluator,
    reports: Mapping[str, Report],
    *,
    oversight: float | None = None,
    greedy: bool = False,
) -> None:
    """Print the table of a run's policies, evaluated at another oversight than trained at if given."""
    trained = run.settings.env.oversight
    title = f"{run.choice.agent} in {run.choice.env} at oversight {trained:g}, seed {run.settings.seed}"
    title += "" if oversight is None else f", evaluated at {oversight:g}"
    title += " (sees everything)" if agent.sees_everything else ""
    show(reports, evaluator.references(), deployed=agent.deployed, title=title, greedy=greedy)
    print(agent.remark)


def _list(plugins: Plugins) -> int:
    """Print the environments and agents there are."""
    kinds: tuple[tuple[Kind, str], ...] = (("envs", "environments"), ("agents", "agents"))
    for kind, title in kinds:
        print(f"{title}:")
        for name in plugins.names(kind):
            print(f"  {name:<14} {plugins.summary(kind, name)}")
    return 0
