"""What came out of a folder of runs: a result of each, named by its world and its method."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from routed_rl import config
from routed_rl.config import UserError
from routed_rl.plugins import Plugins

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
    kept: dict[tuple[str, str, float, int], tuple[str, Result]] = {}
    for (path, settings), names in zip(plain.items(), _names(list(plain.values())), strict=True):
        result = _result(settings, *names)
        first, _ = kept.setdefault((result.world, result.method, result.oversight, result.seed), (path.name, result))
        if first != path.name:
            left_out[path.name] = f"it has the settings and the seed of {first}, and would count twice"
    return [result for _, result in kept.values()], left_out


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


SWITCHES = {
    ("agent.hide_oversight",): False,
    ("agent.gate",): True,
    ("agent.routes", "routed"): "label",
    ("agent.routes", "absorbing"): "none",
}
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
    for settings, values in zip(runs, flat, strict=True):  # an older run had the default of a setting that it lacks
        usual |= {key: _default(*key, usual[key]) for key in usual if _lacks(settings, values, key)}
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


def _lacks(settings: Mapping[str, Any], values: Mapping[str, Any], key: tuple[Any, ...]) -> bool:
    """Say whether a run is compared by a setting that it does not have."""
    return key[0] not in values and key == _like(settings, key[0])


@cache
def _known(kind: str, name: str) -> Mapping[str, Any]:
    """Return the default settings of an environment or an agent; none if it is not there any more."""
    try:
        return config.to_plain(Plugins().load("envs" if kind == "env" else "agents", name).Config())
    except (UserError, AttributeError, TypeError, ValueError):
        return {}


def _default(setting: str, name: str, commonest: Any) -> Any:
    """Return the default of a setting of an environment or an agent, as config.yaml holds it."""
    kind, _, field = setting.partition(".")
    return _known(kind, name).get(field, commonest) if field else commonest


def _part(name: str) -> str:
    """Say whether a setting belongs to the world or to the method."""
    return "env" if name.startswith(("env.", "good")) else "agent"


def _words(name: str, value: Any) -> str:
    """Write a setting as one would say it."""
    said = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    words = name.split(".", 1)[-1].replace("_", " ")
    return WORDS.get(f"{name} {said}", words if value is True else f"{words} {said}")


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
