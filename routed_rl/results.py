"""What came out of a folder of runs: results by world and method, summaries over seeds, tables."""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy import stats

CHECKPOINTS = {"policies": "last", "best_by_labels": "best by labels", "best_by_truth": "best by truth (cheats)"}


@dataclass(frozen=True)
class Result:
    """One finished run."""

    world: str
    """The environment, and what sets it apart from the other runs' environments."""
    method: str
    """The agent, and what sets it apart from that agent's other runs."""
    oversight: float
    seed: int
    labels: int
    steps: int
    references: Mapping[str, float]
    """Returns of scripted policies in its world, to six digits: they are computed anew in every run."""
    reports: Mapping[str, Mapping[str, Any]]
    """Which checkpoint -> what its policy to ship does."""
    curve: NDArray[np.float64] = field(repr=False)
    """(n, 3): environment steps, labelled episodes, return of the policy to ship."""


class Summary(NamedTuple):
    """What some seeds have in common."""

    mean: float
    low: float
    high: float
    iqm: float
    n: int


def load(folder: Path) -> tuple[list[Result], dict[str, str]]:
    """Read the runs in a folder.

    Returns:
        the finished ones, and for every other folder in it why it is left out.
    """
    left_out: dict[str, str] = {}
    plain: dict[Path, dict[str, Any]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not (path / "config.yaml").exists():
            left_out[path.name] = "it is no run: it has no config.yaml"
        elif not (path / "result.json").exists():
            left_out[path.name] = "it is not finished: it has no result.json"
        else:
            try:
                settings = yaml.safe_load((path / "config.yaml").read_text())
                settings["result"] = json.loads((path / "result.json").read_text())
                settings["curve"] = _curve(path / "metrics.csv", settings["result"]["deployed"])
                _ = settings["env"]["name"], settings["env"]["oversight"], settings["agent"]["name"]
                plain[path] = settings
            except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
                left_out[path.name] = f"it cannot be read: {str(error).splitlines()[0]}"
    names = _names(list(plain.values()))
    return [_result(settings, *name) for settings, name in zip(plain.values(), names, strict=True)], left_out


def _result(settings: Mapping[str, Any], world: str, method: str) -> Result:
    """Put together what is known of a run."""
    result = settings["result"]
    reports = {name: result[name] for name in CHECKPOINTS if name in result}
    return Result(
        world=world,
        method=method,
        oversight=settings["env"]["oversight"],
        seed=result["seed"],
        labels=result["labelled_episodes"],
        steps=result["env_steps"],
        references={name: round(value, 6) for name, value in result.get("references", {}).items()},
        reports={name: report.get("policies", report)[result["deployed"]] for name, report in reports.items()},
        curve=settings["curve"],
    )


SWITCHES = {("agent.hide_oversight",): False, ("agent.gate",): True, ("agent.routes", "routed"): "label"}
"""What a setting, of one agent if it is named, is unless asked for; of all others the commonest value goes unsaid."""
WORDS = {"agent.hide_oversight True": "plane hidden", "agent.gate False": "gate off"}


def _names(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name the world and the method of each run by the settings that are not the commonest among its like."""
    flat = [_flat(settings) for settings in runs]
    seen: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for settings, values in zip(runs, flat, strict=True):
        for name, value in values.items():
            seen[_like(settings, name)].append(value)
    usual = {key: max(values, key=values.count) for key, values in seen.items()}
    usual |= {key: SWITCHES[known] for key in usual for known in (key[:1], key[:2]) if known in SWITCHES}
    named = []
    for settings, values in zip(runs, flat, strict=True):
        unusual = {name: value for name, value in values.items() if value != usual[_like(settings, name)]}
        world, method = (
            [settings[part]["name"], *(_words(name, value) for name, value in unusual.items() if _part(name) == part)]
            for part in ("env", "agent")
        )
        named.append((", ".join(world), ", ".join(method)))
    return named


def _like(settings: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    """Say with which runs a run's setting is compared: those of its environment or agent; steps at its oversight."""
    if name == "steps":
        return name, settings["env"]["name"], settings["agent"]["name"], settings["env"]["oversight"]
    return name, settings[_part(name)]["name"]


def _part(name: str) -> str:
    """Say whether a setting belongs to the world or to the method."""
    return "env" if name.startswith(("env.", "good")) else "agent"


def _words(name: str, value: Any) -> str:
    """Write a setting as one would say it."""
    said = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return WORDS.get(f"{name} {said}", f"{name.split('.', 1)[-1].replace('_', ' ')} {said}")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """List the settings that make a method or a world what it is."""
    flat = {"num_envs": settings.get("num_envs"), "steps": settings.get("steps"), "good": settings.get("good", [])}
    for part in ("env", "agent"):
        flat |= {f"{part}.{name}": value for name, value in settings[part].items() if name not in ("name", "oversight")}
    return flat


def _curve(path: Path, deployed: str) -> NDArray[np.float64]:
    """Read steps, labels and return of the policy to ship at each evaluation."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(f"eval/{deployed}/return")]
    columns = ("env_steps", "routing/labelled_episodes", f"eval/{deployed}/return")
    return np.array([[float(row[name]) for name in columns] for row in rows]).reshape(-1, 3)


def summarise(values: Sequence[float]) -> Summary:
    """Take mean, 95% bootstrap interval of the mean, and interquartile mean of one value a seed."""
    array = np.asarray(values)
    low = high = float(array.mean())
    if len(array) > 1 and array.std() > 0:
        interval = stats.bootstrap((array,), np.mean, n_resamples=2000, method="percentile", rng=0).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Summary(float(array.mean()), low, high, float(stats.trim_mean(array, 0.25)), len(array))


def tabulate(results: Sequence[Result], measure: str, checkpoint: str) -> dict[str, dict[float, Summary]]:
    """Summarise a measure of one choice of checkpoint: method -> oversight -> over seeds."""
    return _summaries((r, r.reports[checkpoint][measure]) for r in results if checkpoint in r.reports)


def differences(
    results: Sequence[Result], measure: str, checkpoint: str, against: str
) -> dict[str, dict[float, Summary]]:
    """Summarise by how much each method is above one of them, over the seeds that both have."""
    found = [(r, r.reports[checkpoint][measure]) for r in results if checkpoint in r.reports]
    base = {(r.oversight, r.seed): value for r, value in found if r.method == against}
    pairs = ((r, value, base.get((r.oversight, r.seed))) for r, value in found if r.method != against)
    return _summaries((r, value - other) for r, value, other in pairs if other is not None)


def _summaries(values: Iterable[tuple[Result, float]]) -> dict[str, dict[float, Summary]]:
    """Summarise a value of each run: method -> oversight -> over seeds."""
    cells: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result, value in values:
        cells[result.method][result.oversight].append(value)
    return {method: {p: summarise(row[p]) for p in sorted(row)} for method, row in sorted(cells.items())}


def markdown(table: Mapping[str, Mapping[float, Summary]], form: str = ".3f") -> str:
    """Write a table: mean, and its interval, for each method and oversight; the best mean is bold."""
    levels = sorted({p for row in table.values() for p in row})
    best = {p: max((row[p].mean for row in table.values() if p in row), default=0.0) for p in levels}
    lines = ["| method | " + " | ".join(f"{p:g}" for p in levels) + " |", "|---" * (len(levels) + 1) + "|"]
    for method, row in table.items():
        cells = [_cell(row[p], form, best=row[p].mean == best[p]) if p in row else "" for p in levels]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(summary: Summary, form: str, *, best: bool) -> str:
    """Write a mean and its interval."""
    mean = f"{summary.mean:{form}}"
    return f"{f'**{mean}**' if best else mean} ({summary.low:{form}} to {summary.high:{form}})"


def write_tables(results: Sequence[Result], folder: Path, against: str | None = None) -> list[Path]:
    """Write tables.md and tables.csv, also of the differences from one method if it is named."""
    text, rows = "", []
    worlds = sorted({result.world for result in results})
    for world, (checkpoint, title) in itertools.product(worlds, CHECKPOINTS.items()):
        here = [result for result in results if result.world == world]
        for measure in ("return", "unwatched"):
            tables = {measure: tabulate(here, measure, checkpoint)}
            if against is not None:
                tables[f"{measure} minus that of {against}"] = differences(here, measure, checkpoint, against)
            for name, table in tables.items():
                if table:
                    text += f"## {f'{world}: ' if len(worlds) > 1 else ''}{name}, {title} checkpoint\n\n"
                    over = "seeds" if name == measure else "pairs of one seed"
                    text += f"Mean and 95% bootstrap interval over {over}; the best mean is bold.\n\n"
                    text += markdown(table, ".3f" if name == measure else "+.3f") + "\n"
                first = {"world": world, "checkpoint": title, "measure": name}
                rows += [
                    first | {"method": m, "oversight": p} | summary._asdict()
                    for m, row in table.items()
                    for p, summary in row.items()
                ]
    (folder / "tables.md").write_text(text)
    with (folder / "tables.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [folder / "tables.md", folder / "tables.csv"]
