"""The page of one run: what its policies do, to play with, and the proof."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

from routed_rl.evaluation.report import Report
from routed_rl.experiments import results
from routed_rl.experiments.summaries import summarise
from routed_rl.pages import film, world
from routed_rl.pages.html import NAME, RUN_SCRIPTS, page
from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.training.builder import settings_of
from routed_rl.training.logs.board_log import ARROWS, whole_lines
from routed_rl.training.run import Run
from routed_rl.utils import machine
from routed_rl.utils.errors import one_line
from routed_rl.utils.files import read_rows, write_text
from routed_rl.utils.settings import flatten

MOST_RIVALS = 64
"""At the end of a training the runs beside it are read if there are no more of them."""


def write(run: Run, *, rivals: bool = True) -> Path:
    """Write report.html into the folder of a finished run; return its path.

    Args:
        run: which has its result.
        rivals: compare it with the other runs in the folder that it lies in.

    Raises:
        UserError: if the run is not finished, or its files cannot be read.
    """
    path = run.folder / NAME
    with machine.few_threads_for(run.deploy()):
        shown = describe(run, rivals=rivals)
    write_text(path, page(f"{run.setup.config.title} · routed_rl", shown, RUN_SCRIPTS))
    return path


def has_few_neighbours(folder: Path) -> bool:
    """Say whether the runs beside a run are so few that reading them takes no time."""
    return sum(1 for _ in folder.resolve().parent.iterdir()) <= MOST_RIVALS


def describe(run: Run, *, rivals: bool) -> dict[str, Any]:
    """Gather what the page shows."""
    result = run.result
    policies = run.policies()
    env = run.setup.make_env(1, seed=run.setup.config.settings.seed)
    model = env.model()
    spec = env.spec
    found = {} if model is None else world.describe(policies, spec, model)
    return {
        "title": run.setup.config.title,
        "about": _about(run),
        "outcomes": spec.outcomes,
        "target": spec.target,
        "policies": list(policies),
        "deployed": run.agent.deployed,
        "acting": run.agent.acting,
        "remark": run.agent.remark,
        "reports": {name: _plain(report) for name, report in result["policies"].items()},
        "references": result["references"],
        "labelled": result["labelled_episodes"],
        "happened": result.get("happened", {}),
        "curve": _curve(run.folder / "metrics.csv", list(policies)),
        "arrows": _arrows(run.folder / ARROWS),
        "rivals": _rivals(run) if rivals else [],
        "settings": {name: str(value) for name, value in flatten(settings_of(run.folder)).items()},
        "commands": _commands(run.folder / "command.txt"),
        "world": found,
        "film": {} if found else _film(run),
    }


def _about(run: Run) -> dict[str, Any]:
    """Return what stands under the heading."""
    result = run.result
    return {
        "seed": result["seed"],
        "env_steps": result["env_steps"],
        "train_seconds": result["train_seconds"],
        "sees_everything": result["sees_everything"],
    }


def _plain(report: Report) -> dict[str, Any]:
    """Return a report's numbers as a page may hold them: what is not finite is left out."""
    plain = report.to_json()
    return {
        name: value
        for name, value in plain.items()
        if not isinstance(value, float) or math.isfinite(value)
    }


def _curve(path: Path, policies: list[str]) -> dict[str, Any]:
    """Read the return of each policy at each evaluation, and how many episodes a point rests on."""
    steps: list[int] = []
    returns: dict[str, list[float | None]] = {name: [] for name in policies}
    played: float | None = None
    for row in read_rows(path):
        values = [row.get(f"eval/{name}/return") for name in policies]
        if any(values):  # empty between evaluations
            steps.append(int(row["env_steps"]))
            played = _number(row.get("eval_details/deployed/episodes"))
            for name, value in zip(policies, values, strict=True):
                returns[name].append(_number(value))
    return {"env_steps": steps, "returns": returns, "episodes": played}


def _number(text: str | None) -> float | None:
    """Read a number; None where there is none, or none that is finite."""
    try:
        value = float(text) if text else math.nan
    except ValueError:  # a file that was cut
        value = math.nan
    return value if math.isfinite(value) else None


def _arrows(path: Path) -> dict[str, Any]:
    """Read what the policies did on a few boards at each evaluation."""
    if not path.exists():
        return {}
    scenes, *moments = whole_lines(path) or [[]]
    return {"scenes": scenes, "moments": moments} if moments else {}


def _rivals(run: Run) -> list[dict[str, Any]]:
    """Summarise the runs in the same folder, world and oversight, this one's method first."""
    found, _ = results.load(run.folder.resolve().parent)
    own = next((one for one in found if one.folder == run.folder.resolve().name), None)
    if own is None:
        return []
    values: dict[str, dict[int, float]] = defaultdict(dict)
    steps: dict[str, int] = {}
    for one in found:
        if (one.world, one.oversight) == (own.world, own.oversight):
            values[one.method][one.seed] = one.reports["policies"].true_return
            steps[one.method] = one.steps
    table = [
        {
            "method": method,
            "steps": steps[method],
            "own": method == own.method,
            "seeds": by_seed,
            **summarise(list(by_seed.values()))._asdict(),
        }
        for method, by_seed in values.items()
    ]
    return sorted(table, key=lambda row: (not row["own"], -row["mean"]))


def _commands(path: Path) -> list[str]:
    """Return the commands that the run was trained by, the first one and those it went on with."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [_portable(line) for line in lines if line.strip()]


def _portable(line: str) -> str:
    """Write a command as it is typed: without the folder of its program."""
    try:
        program, *rest = shlex.split(line)
    except ValueError:  # a line that was cut
        return line
    name = Path(program).name
    return shlex.join([*(["python"] if name.endswith(".py") else []), name, *rest])


def _film(run: Run) -> dict[str, Any]:
    """Record episodes; say why if the environment does not let itself be drawn."""
    seed = run.setup.config.settings.seed

    def make_env() -> Any:
        env = run.setup.make_env(1, seed=seed)
        return CheckedWorld(env, run.setup.config.names.env_title)

    try:
        return {"policies": film.record(run.policies(), make_env, seed=seed)}
    except Exception as error:  # a foreign environment's own: the rest of the page is worth having
        return {"failed": one_line(error)}
