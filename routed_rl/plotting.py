"""Figures and tables from a folder of runs."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8a6d3b", "#7a52c7", "#b22222")
"""Okabe and Ito's, told apart by colour-blind readers, and four more."""
CHECKPOINTS = {"policies": "last", "best_by_labels": "best by labels", "best_by_truth": "best by truth (cheats)"}


@dataclass(frozen=True)
class Result:
    """One finished run."""

    method: str
    oversight: float
    seed: int
    labels: int
    steps: int
    references: Mapping[str, float]
    """Returns of scripted policies in its world."""
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
    results, left_out = [], {}
    plain: dict[Path, dict[str, Any]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not (path / "config.yaml").exists():
            left_out[path.name] = "it is no run: it has no config.yaml"
        elif not (path / "result.json").exists():
            left_out[path.name] = "it is not finished: it has no result.json"
        else:
            try:
                plain[path] = yaml.safe_load((path / "config.yaml").read_text())
                plain[path]["result"] = json.loads((path / "result.json").read_text())
            except (ValueError, yaml.YAMLError) as error:
                left_out[path.name] = f"it cannot be read: {str(error).splitlines()[0]}"
                plain.pop(path, None)
    kinds = _most_common(path["env"]["name"] for path in plain.values())
    usual = _usual(plain.values())
    for path, settings in plain.items():
        result = settings["result"]
        if settings["env"]["name"] != kinds:
            left_out[path.name] = f"it is of {settings['env']['name']}, most others are of {kinds}"
            continue
        reports = {name: result[name] for name in CHECKPOINTS if name in result}
        reports = {name: report.get("policies", report)[result["deployed"]] for name, report in reports.items()}
        results.append(
            Result(
                method=_method(settings, usual[settings["agent"]["name"]]),
                oversight=settings["env"]["oversight"],
                seed=result["seed"],
                labels=result["labelled_episodes"],
                steps=result["env_steps"],
                references=result.get("references", {}),
                reports=reports,
                curve=_curve(path / "metrics.csv", result["deployed"]),
            )
        )
    return results, left_out


SWITCHES = {"agent.hide_oversight": False, "agent.gate": True, "agent.routes": "label"}
"""What these are unless somebody asks for another; of all other settings the commonest value goes unsaid."""
WORDS = {"agent.hide_oversight True": "plane hidden", "agent.gate False": "gate off"}


def _usual(runs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Find the commonest value of each setting of each agent."""
    values: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for settings in runs:
        for name, value in _flat(settings).items():
            values[settings["agent"]["name"]][name].append(value)
    return {
        agent: {name: SWITCHES.get(name, max(seen, key=seen.count)) for name, seen in columns.items()}
        for agent, columns in values.items()
    }


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """List the settings that make a method or a world what it is."""
    flat = {"num_envs": settings.get("num_envs"), "steps": settings.get("steps")}
    for part in ("env", "agent"):
        flat |= {f"{part}.{name}": value for name, value in settings[part].items() if name not in ("name", "oversight")}
    return flat


def _method(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Name a method after its agent and what sets it apart from that agent's other runs."""
    unusual = [f"{name} {value}" for name, value in _flat(settings).items() if value != usual[name]]
    words = [WORDS.get(text, text.split(".", 1)[-1].replace("_", " ")) for text in unusual]
    return ", ".join([settings["agent"]["name"], *words])


def _curve(path: Path, deployed: str) -> NDArray[np.float64]:
    """Read steps, labels and return of the policy to ship at each evaluation."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(f"eval/{deployed}/return")]
    columns = ("env_steps", "routing/labelled_episodes", f"eval/{deployed}/return")
    return np.array([[float(row[name]) for name in columns] for row in rows]).reshape(-1, 3)


def _most_common(names: Iterable[str]) -> str | None:
    found = list(names)
    return max(set(found), key=found.count) if found else None


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
    cells: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if checkpoint in result.reports:
            cells[result.method][result.oversight].append(result.reports[checkpoint][measure])
    return {
        method: {p: summarise(values) for p, values in sorted(row.items())} for method, row in sorted(cells.items())
    }


def markdown(table: Mapping[str, Mapping[float, Summary]]) -> str:
    """Write a table: mean, and its interval, for each method and oversight."""
    levels = sorted({p for row in table.values() for p in row})
    lines = ["| method | " + " | ".join(f"{p:g}" for p in levels) + " |", "|---" * (len(levels) + 1) + "|"]
    for method, row in table.items():
        cells = [f"{s.mean:.2f} ({s.low:.2f} to {s.high:.2f})" if (s := row.get(p)) else "" for p in levels]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write every figure and table that the runs allow into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = {m: COLOURS[i % len(COLOURS)] for i, m in enumerate(sorted({result.method for result in results}))}
    written = _tables(results, folder)
    for measure, title in (("return", "Return"), ("unwatched", "Return where nothing is overseen")):
        figure, axes = _figure(title, "oversight: chance that an end is seen", "exact return of the policy to ship")
        _against_oversight(axes, results, measure, colours)
        written += _save(figure, folder / f"{measure}_against_oversight")
    for level in sorted({result.oversight for result in results}):
        here = [result for result in results if result.oversight == level]
        for column, name, label in ((0, "steps", "environment steps"), (1, "labels", "labelled episodes")):
            figure, axes = _figure(f"Learning at {level:g} oversight", label, "exact return of the policy to ship")
            _against(axes, here, column, colours)
            written += _save(figure, folder / f"return_against_{name}_at_{level:g}")
    return written


def _tables(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write tables.md and tables.csv."""
    text, rows = "", []
    for checkpoint, title in CHECKPOINTS.items():
        for measure in ("return", "unwatched"):
            table = tabulate(results, measure, checkpoint)
            if not table:
                continue
            text += f"## {measure}, {title} checkpoint\n\n"
            text += f"Mean and 95% bootstrap interval over seeds.\n\n{markdown(table)}\n"
            rows += [
                {"method": m, "oversight": p, "checkpoint": title, "measure": measure} | summary._asdict()
                for m, row in table.items()
                for p, summary in row.items()
            ]
    (folder / "tables.md").write_text(text)
    with (folder / "tables.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return [folder / "tables.md", folder / "tables.csv"]


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Start a figure with room for names at its right."""
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure: Figure, path: Path) -> list[Path]:
    """Add the names and write png and svg."""
    figure.axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    files = [path.with_name(path.name + suffix) for suffix in (".png", ".svg")]
    for file in files:
        figure.savefig(file, dpi=150)
    return files


def _ceilings(axes: Axes, results: Sequence[Result]) -> None:
    """Draw what scripted policies reach, where all runs are of one world: the best possible, and a blind seeker."""
    references = results[0].references
    if all(result.references == references for result in results):
        for style, (name, value) in zip(("-", "--", ":"), references.items(), strict=False):
            axes.axhline(value, color="black", linewidth=0.8, linestyle=style, label=f"{name} {value:.2f}")


def _against_oversight(axes: Axes, results: Sequence[Result], measure: str, colours: Mapping[str, str]) -> None:
    """Draw a line for each method, with its interval."""
    _ceilings(axes, results)
    for method, row in tabulate(results, measure, "policies").items():
        levels, summaries = list(row), list(row.values())
        axes.plot(levels, [s.mean for s in summaries], _style(method), color=colours[method], marker="o", label=method)
        low, high = [s.low for s in summaries], [s.high for s in summaries]
        axes.fill_between(levels, low, high, color=colours[method], alpha=0.15, linewidth=0)
    levels = sorted({result.oversight for result in results})
    if levels[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(levels, [f"{p:g}" for p in levels])
    axes.minorticks_off()


def _style(method: str) -> str:
    """Draw a method with a switch as a dashed line."""
    return "--" if "," in method else "-"


def _against(axes: Axes, results: Sequence[Result], column: int, colours: Mapping[str, str]) -> None:
    """Draw learning curves, the mean over seeds, against steps or labels."""
    _ceilings(axes, results)
    for method in sorted({result.method for result in results}):
        curves = [result.curve for result in results if result.method == method and len(result.curve)]
        if not curves:
            continue
        length = min(len(curve) for curve in curves)
        stacked = np.stack([curve[:length] for curve in curves])
        x, y = stacked[:, :, column].mean(axis=0), stacked[:, :, 2]
        axes.plot(x, y.mean(axis=0), _style(method), color=colours[method], label=method)
        axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colours[method], alpha=0.12, linewidth=0)
    if column == 1 and all(len(result.curve) and result.curve[0, 1] > 0 for result in results):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
