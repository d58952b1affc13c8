"""Folders of runs that were never trained, with numbers that can be told by eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from routed_rl.evaluation.report import Report
from routed_rl.training.run_folder import RunResult, write_result


def report(value: float, unwatched: float) -> Report:
    outcomes = {"diamond": 1.0, "none": 0.0}
    return Report(
        true_return=value, exact=True, unwatched=unwatched, outcomes=outcomes, mean_length=2.0
    )


def fake_run(
    folder: Path,
    value: float,
    *,
    agent: str = "naive",
    env: str = "gridworld",
    oversight: float = 0.1,
    seed: int = 0,
    steps: int | None = None,
    **switches: Any,
) -> None:
    """Write what a finished run leaves.

    It had 100 steps and 10 labels at a return of half the value, and 200 and 30 at the value. By
    labels the best checkpoint was at 100 steps, and returned a tenth more. `steps` are those that
    it is said to have had instead, by its settings too; `switches` are the agent's settings.
    """
    folder.mkdir(parents=True)
    set_settings(
        folder, env={"name": env, "oversight": oversight}, agent={"name": agent, **switches}
    )
    if steps is not None:
        set_settings(folder, steps=steps)
    result: RunResult = {
        "env": env,
        "agent": agent,
        "seed": seed,
        "env_steps": steps or 200,
        "train_seconds": 1.0,
        "labelled_episodes": 30,
        "sees_everything": False,
        "deployed": "policy",
        "policies": {"policy": report(value, value - 0.1)},
        "references": {"best possible": 0.9317},
        "best_by_labels": {"env_steps": 100, "policies": {"policy": report(value + 0.1, 0.0)}},
    }
    write_result(folder / "result.json", result)
    rows = [
        "env_steps,routing/labelled_episodes,eval/policy/return",
        f"100,10,{value / 2}",
        "150,20,",
        f"200,30,{value}",
    ]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")


def set_settings(folder: Path, **settings: Any) -> None:
    """Change parts of a run's config.yaml; a mapping adds to the one that is there."""
    path = folder / "config.yaml"
    plain: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
    for name, value in settings.items():
        plain[name] = plain.get(name, {}) | value if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(plain, sort_keys=False))


def some_runs(folder: Path) -> Path:
    """Write three seeds of a method, one of a variant, one at more oversight, one in a lake.

    And what is no finished run: notes, one that runs, and one whose result is broken.
    """
    for seed, value in enumerate((0.1, 0.2, 0.9)):
        fake_run(folder / f"naive-{seed}", value, seed=seed)
    fake_run(folder / "hidden", 0.5, hide_oversight=True, penalty=2.0)
    fake_run(folder / "other", 0.4, oversight=0.3)
    fake_run(folder / "foreign", 0.5, env="lake")
    (folder / "notes").mkdir()
    (folder / "running").mkdir()
    (folder / "running" / "config.yaml").write_text("env: {name: gridworld}")
    fake_run(folder / "broken", 0.5)
    (folder / "broken" / "result.json").write_text("{")
    return folder
