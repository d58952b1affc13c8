"""`train`: train an agent in an environment, or go on with a run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from routed_rl.registry import Kind, Registry
from routed_rl.training import builder
from routed_rl.training.builder import Wanted
from routed_rl.utils import ranks
from routed_rl.utils.errors import UserError, one_line

if TYPE_CHECKING:  # a run needs TensorBoard and more, which questions can do without
    from routed_rl.training.run import Run


def train(args: Sequence[str], prog: str = "train.py") -> int:
    """Train an agent in an environment, or continue a run."""
    wanted, flags = builder.choose(args)
    if wanted.list:
        return _list(Registry(wanted.plugin))
    with ranks.joined():  # those that torchrun started, if it did
        return _run(args, wanted, flags, prog)


def _run(args: Sequence[str], wanted: Wanted, flags: Sequence[str], prog: str) -> int:
    """Train, or continue a run."""
    if wanted.resume:
        return _resume(Path(wanted.resume), wanted, flags)
    setup = builder.build(args, prog)  # answers --help, before what only a training needs

    from routed_rl.training.run import Run
    from routed_rl.training.run_folder import claim

    return _train(
        Run(setup, claim(setup.config, wanted.run_dir)), resume=False, page=not wanted.no_page
    )


def _resume(folder: Path, wanted: Wanted, flags: Sequence[str]) -> int:
    """Continue a run with the settings in its folder."""
    from routed_rl.training.run import Run

    kept = ("env", "agent", "config", "run_dir")
    changed = [f"--{name.replace('_', '-')}" for name in kept if getattr(wanted, name) is not None]
    for flag in flags:
        if flag.startswith("--") and flag.split("=")[0] != "--steps":
            changed.append(flag)
    if changed:
        raise UserError(
            f"{changed[0]} was given with --resume, which keeps the run's settings: "
            "only --steps may change."
        )
    setup = builder.reopen(folder, flags, plugins=wanted.plugin)
    return _train(Run(setup, folder), resume=True, page=not wanted.no_page)


def _train(run: Run, *, resume: bool, page: bool) -> int:
    """Train, and print what came out."""
    from routed_rl.cli.summary import print_run, print_what_is_missing

    stopped_by = run.train(resume=resume)
    folder = run.folder
    if stopped_by:
        name = signal.Signals(stopped_by).name
        print(
            f"stopped by {name}, saved. Go on with: python train.py --resume {quote(str(folder))}"
        )
        return 128 + stopped_by
    if ranks.index():
        return 0
    result = run.result
    print_run(run, result["policies"], result["references"], elsewhere="result.json")
    print(
        f"{result['env_steps']:,} steps in {result['train_seconds']:.1f} s of training, "
        f"{result['labelled_episodes']:,} labels."
    )
    print_what_is_missing(result)
    print(f"Saved in {folder}")
    if page:
        _write_page(run)
    print(f"Curves: tensorboard --logdir {quote(str(folder.parent))}")
    print(f"More: python evaluate.py {quote(str(folder))} --help")
    return 0


def _write_page(run: Run) -> None:
    """Write the run's page; the run is whole without it."""
    from routed_rl.pages import run_page

    try:
        page = run_page.write(run, rivals=run_page.has_few_neighbours(run.folder))
        print(f"Look at it: {page}")
    except (Exception, SystemExit) as error:  # of a foreign world: the run is whole without
        print(f"no report.html: {one_line(error)}", file=sys.stderr)


def _list(registry: Registry) -> int:
    """Print the environments and agents there are."""
    kinds: tuple[tuple[Kind, str], ...] = (("envs", "environments"), ("agents", "agents"))
    for kind, title in kinds:
        print(f"{title}:")
        for name in registry.names(kind):
            print(f"  {name:<18} {registry.summary(kind, name)}")
    return 0
