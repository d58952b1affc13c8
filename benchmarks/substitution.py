"""Tables of the substitution world: what each method deploys, and how far it is from routing.

    python benchmarks/substitution.py runs/substitution [--base runs/base.safetensors]

Takes a folder of finished runs of sweeps/substitution.toml or sweeps/substitution_both.toml. Prints
a markdown table for each recall: true return, ghosts and glitches in an episode, each with a 95%
bootstrap interval of the mean over seeds, and the paired difference to `routed`. With a base, the
last line says what that policy does in their world as it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routed_rl import load, load_policy
from routed_rl.experiments.summaries import summarise
from routed_rl.training.builder import settings_of

MEASURES = ("return", "ghost", "glitch")
AGAINST = "routed"
Cell = dict[str, dict[int, dict[str, float]]]
"""Method -> seed -> measure -> value."""


def name(agent: Mapping[str, Any]) -> str:
    """Call a method by the settings that the sweep changes."""
    words = [agent["name"]]
    knows = agent.get("recall", 1.0) < 1
    if agent["name"] == "naive":
        words += ["recall corrected"] if knows else []
        words += ["no penalty"] if agent["penalty"] == 0 else []
    if agent["name"] == "reward_model":
        words += ["keep paid" if agent["keep_paid"] else "judgement alone"]
        words += ["pessimistic ensemble"] if agent["model_members"] > 1 else []
    if agent["name"] == "routed":
        words += [] if agent["gate"] else ["no gate"]
        words += ["inferred flags"] if agent["infer"] else []
        words += [] if agent["unflagged"] == "all" else ["unflagged to the good expert"]
        words += {"label": [], "none": ["no routes"], "random": ["shuffled flags"]}[agent["routes"]]
    return ", ".join(words + (["on a base"] if agent.get("base") else []))


def read(folder: Path) -> dict[float, Cell]:
    """Read the runs of a folder: recall -> method -> seed -> what its deployed policy does."""
    found: dict[float, Cell] = {}
    for path in sorted(folder.glob("*/result.json")):
        settings = settings_of(path.parent)
        result = json.loads(path.read_text())
        report = result["policies"][result["deployed"]]
        values = {"return": report["return"], **report["outcomes_per_episode"]}
        cell = found.setdefault(settings["env"]["recall"], {})
        cell.setdefault(name(settings["agent"]), {})[result["seed"]] = values
    return found


def table(cell: Cell) -> str:
    """Write the table of one recall, the best method first."""
    titles = ("method", "true return", "ghosts", "glitches", f"against {AGAINST}", "seeds")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    means = {
        method: summarise([values["return"] for values in seeds.values()])
        for method, seeds in cell.items()
    }
    base = cell.get(AGAINST, {})
    for method in sorted(means, key=lambda each: -means[each].mean):
        seeds = cell[method]
        texts = [method, means[method].text(".3f")]
        for measure in MEASURES[1:]:
            texts.append(f"{summarise([each[measure] for each in seeds.values()]).mean:.2f}")
        both = [seed for seed in seeds if seed in base]
        pairs = [seeds[seed]["return"] - base[seed]["return"] for seed in both]
        texts.append(summarise(pairs).text("+.3f") if pairs and method != AGAINST else "")
        lines.append(f"| {' | '.join(texts)} | {len(seeds)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print a table for each recall."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", type=Path)
    asked = parser.parse_args()
    for recall, cell in sorted(read(asked.folder).items()):
        print(f"### Recall {recall:g}\n\n{table(cell)}")
    if asked.base is not None:
        evaluator = load(next(asked.folder.glob("*/result.json")).parent).setup.make_evaluator()
        report = evaluator.returns({"": load_policy(asked.base)})[""]
        counts = report.outcomes_per_episode or {}
        said = ", ".join(f"{counts[outcome]:.2f} {outcome}" for outcome in MEASURES[1:])
        print(f"The base alone: {report.true_return:.3f}, with {said} per episode.")


if __name__ == "__main__":
    main()
