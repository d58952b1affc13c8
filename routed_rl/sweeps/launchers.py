"""Do the runs of a sweep, each in a process of its own, here or on Ray.

What is finished is skipped, and what was killed is resumed. What fails is reported at the end, and
stops nothing else.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from routed_rl.sweeps import transfer
from routed_rl.sweeps.sweep import Task
from routed_rl.utils.errors import UserError, one_line
from routed_rl.utils.progress import time_left

Launcher = Literal["local", "ray"]
Doing = Iterator[tuple[list[Task], list[tuple[Task, str | None]]]]
"""Again and again: what runs, and what ended since, each with its error."""

_SECONDS = 2.0  # between two looks at what runs


@dataclass(frozen=True)
class RayOptions:
    """Where Ray runs tasks, and what each of them takes."""

    address: str | None = None
    """Address of a Ray cluster; without, Ray is started on this machine."""
    cpus: float = 1.0
    """Processors that a run takes of a Ray cluster."""
    gpus: float = 0.0
    """GPUs that a run takes of a Ray cluster; 0.25 lets four runs share one."""
    retries: int = 3
    """How often a run goes on elsewhere when its node of a Ray cluster is lost."""


def run(
    tasks: Sequence[Task], *, launcher: Launcher, jobs: int, on_ray: RayOptions = RayOptions()
) -> dict[str, str]:
    """Do all that is not finished.

    Args:
        tasks: what to do.
        launcher: local processes, or tasks of Ray.
        jobs: how many at a time, locally.
        on_ray: where Ray runs them.

    Returns:
        Name -> what went wrong, of the runs that failed.
    """
    left = [task for task in tasks if not task.finished]
    print(f"{len(tasks)} runs, {len(tasks) - len(left)} finished before.", flush=True)
    failed: dict[str, str] = {}
    began = time.monotonic()
    doing = _with_ray(left, on_ray) if launcher == "ray" else _with_processes(left, jobs)
    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=1, transient=True) as live:
        for running, ended in doing:
            failed |= {task.name: error for task, error in ended if error is not None}
            standing = _standing(left, running, failed, time.monotonic() - began)
            if console.is_terminal:
                live.update(Group(_table(running), standing))
                continue
            # In a file there is no table that is drawn anew: it gets a line for each run.
            for task, error in ended:
                print(f"{task.name}: {error or 'done'} ({standing})", file=sys.stderr, flush=True)
    return failed


def _with_processes(tasks: Sequence[Task], jobs: int) -> Doing:
    """Run tasks in processes, some at a time; each has a thread that waits for it."""
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(task.execute): task for task in tasks}
        try:
            while pending:
                ended = wait(pending, timeout=_SECONDS, return_when="FIRST_COMPLETED").done
                done = [(pending.pop(future), future.result()) for future in ended]
                yield [task for future, task in pending.items() if future.running()], done
        except BaseException:
            # Without this, leaving the pool would first do all that is left.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _with_ray(tasks: Sequence[Task], options: RayOptions) -> Doing:
    """Run tasks as tasks of Ray, on as many nodes as there are."""
    try:
        import ray  # type: ignore[import-not-found]
    except ImportError:
        raise UserError(
            "--launcher ray needs Ray, which is not installed: pip install ray."
        ) from None
    ray.init(
        address=options.address,
        log_to_driver=False,
        include_dashboard=False,
        logging_level=logging.ERROR,
    )
    try:
        remote: Any = ray.remote(
            num_cpus=options.cpus, num_gpus=options.gpus, max_retries=options.retries
        )
        execute = remote(transfer.execute)
        with transfer.shown_in({task.folder.parent for task in tasks}) as sign:
            pending: dict[Any, Task] = {
                execute.remote(task, transfer.pack(task), sign): task for task in tasks
            }
            while pending:
                ended, _ = ray.wait(list(pending), num_returns=1, timeout=_SECONDS)
                done = [_brought(pending.pop(answer), answer, ray) for answer in ended]
                # Ray does not say which tasks have begun, but most have made their folders.
                yield [task for task in pending.values() if task.folder.exists()], done
    finally:
        ray.shutdown()


def _brought(task: Task, answer: Any, ray: Any) -> tuple[Task, str | None]:
    """Fetch what a task of Ray answers, and a run's files where they are not here."""
    try:
        error, files = ray.get(answer)
        transfer.unpack(files, task.folder)
    except Exception as raised:  # whatever it is, other runs go on
        return task, f"{type(raised).__name__}: {one_line(raised)}"
    return task, error


def _table(running: Sequence[Task]) -> Table:
    """Show what runs, and how far it is."""
    table = Table("run", "steps", "of", title_justify="left")
    for task in running:
        table.add_row(task.name, f"{task.env_steps():,}", f"{task.steps:,}")
    return table


def _standing(
    left: Sequence[Task], running: Sequence[Task], failed: Mapping[str, str], seconds: float
) -> str:
    """Say how much is done, and how long all will take."""
    done = sum(task.finished for task in left)
    # Runs that are over, and parts of those that run; the rest is expected to be as fast.
    over = done + len(failed)
    part = over + sum(task.env_steps() / max(task.steps, 1) for task in running)
    said = f"{done} of {len(left)} done"
    if failed:
        said += f", {len(failed)} failed"
    return said if over == len(left) else f"{said}, {time_left(part / len(left), seconds)}"
