"""Compare the methods of sweeps/map.toml in all its worlds, from what benchmarks/deployed.py found.

    python benchmarks/worlds.py docs/map_returns.csv [--pictures FOLDER]

Prints the tables of docs/research.md: returns, and differences that are paired by seed. Intervals are 95% bootstrap
intervals of the mean over seeds.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[1]))

from routed_rl.plotting import compare_worlds
from routed_rl.tables import Summary, summarise

WORLDS = {
    "": "the paper's",
    "blur-1.0": "last frame blurred",
    "oversight-reach-2": "only near ends overseen",
    "bad-oversight-0.1": "bad ends overseen less",
    "evadable": "oversight can be evaded",
    "false-positive-0.2": "bad reported as good",
    "false-negative-0.2": "good reported as bad",
    "outcomes-diamond+ghost+mimic_mimic": "mimic",
    "looks": "looks",
    "outcomes-diamond+ghost+skull+trap": "four outcomes",
    "rows-9_columns-9_walls-2+2+2+3+2+4+4+6+5+6+6+6+6+2+6+3+4+4": "9x9 with walls",
}
"""How a run's folder names its world -> what tables call it."""
METHODS = {
    "routed": "routed",
    "absorbing": "absorbing",
    "absorbing_routes-inferred": "absorbing, routes",
    "reward_model_model-by-cell_bad-reward--1.0": "one expert",
    "reward_model": "reward_model",
    "seen_only_hide-oversight": "seen_only, plane hidden",
    "naive": "naive, best by labels",
}
"""The same for its method, in the order of the tables."""
PAIRS = (("one expert", "routed"), ("absorbing, routes", "absorbing"), ("one expert", "absorbing"))
"""Of which methods differences are taken: of the first minus the second."""
NAME = re.compile(
    r"(?P<agent>\w+)_env-(gridworld)?_?(?P<world>\S*?)_?(?<=_)oversight-(?P<level>0\.01|0\.1)_(?P<more>\S*?)_?seed-(?P<seed>\d+)"
)
"""The name of a run's folder."""

Cells = Mapping[tuple[str, str], Mapping[str, Mapping[int, float]]]
"""(level of oversight, world) -> method, or pair of methods -> seed -> return, or difference."""


def read(path: Path, column: str = "return") -> Cells:
    """Read what each run of the sweep deploys, as it is overseen in training or, "unwatched", never."""
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = {
        (level, world): {method: {} for method in METHODS.values()}
        for world in WORLDS.values()
        for level in ("0.01", "0.1")
    }
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            name = NAME.fullmatch(row["run"])
            method = "_".join(filter(None, name.group("agent", "more"))) if name else ""
            if name is None or method not in METHODS or name["world"] not in WORLDS:
                raise SystemExit(f"{path} has a run {row['run']!r}, which is not of sweeps/map.toml.")
            found[name["level"], WORLDS[name["world"]]][METHODS[method]][int(name["seed"])] = float(row[column])
    if not any(seeds for row in found.values() for seeds in row.values()):
        raise SystemExit(f"{path} has no run: let benchmarks/deployed.py go through those of sweeps/map.toml.")
    return found


def differences(returns: Cells) -> Cells:
    """Return by how much the first of each pair of methods is above the second, on the seeds that both have."""
    return {
        cell: {
            f"{first} minus {second}": {
                seed: row[first][seed] - row[second][seed] for seed in row[first] if seed in row[second]
            }
            for first, second in PAIRS
        }
        for cell, row in returns.items()
    }


def summaries(row: Mapping[str, Mapping[int, float]]) -> dict[str, Summary]:
    """Summarise each entry of a row over the seeds that are there."""
    return {name: summarise([values[seed] for seed in sorted(values)]) for name, values in row.items() if values}


def table(cells: Cells, form: str, *, bold: bool) -> str:
    """Write a row for each world and level of oversight, the best mean bold if asked."""
    names = list(next(iter(cells.values())))
    lines = ["| " + " | ".join(("world", "oversight", *names)) + " |", "|---" * (len(names) + 2) + "|"]
    for (level, world), row in cells.items():
        found = summaries(row)
        means = {name: f"{summary.mean:{form}}" for name, summary in found.items()}
        best = max(means.values(), key=float, default="") if bold else ""
        texts = [found[name].text(form, bold=means[name] == best) if name in found else "" for name in names]
        lines.append("| " + " | ".join((world, f"{float(level):.0%}", *texts)) + " |")
    return "\n".join(lines) + "\n"


def count(pairs: Cells, name: str) -> str:
    """Say in how many worlds, pairs and intervals the first of two methods is ahead, and by how much on each seed."""
    rows = [row[name] for row in pairs.values() if row[name]]
    cells = [summaries({name: row})[name] for row in rows]
    values = [value for row in rows for value in row.values()]
    by_seed = {
        seed: mean(row[seed] for row in rows if seed in row) for seed in sorted({s for row in rows for s in row})
    }
    return (
        f"{name}: above 0 in {sum(cell.mean > 0 for cell in cells)} of {len(cells)} means and "
        f"{sum(value > 0 for value in values)} of {len(values)} pairs; interval above 0 in "
        f"{sum(cell.low > 0 for cell in cells)}, below 0 in {sum(cell.high < 0 for cell in cells)}; "
        "mean over all worlds " + ", ".join(f"{value:+.3f} (seed {seed})" for seed, value in by_seed.items())
    )


def main() -> None:
    """Print the tables, and draw them if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("returns", type=Path, help="the file that benchmarks/deployed.py wrote")
    parser.add_argument("--pictures", type=Path, help="a folder to draw the returns in")
    args = parser.parse_args()
    if not args.returns.is_file():
        raise SystemExit(f"There is no file {args.returns}: give the one that benchmarks/deployed.py wrote.")
    returns = read(args.returns)
    pairs = differences(returns)
    print(table(returns, "z.2f", bold=True))
    print(table(pairs, "+z.3f", bold=False))
    for first, second in PAIRS:
        print(count(pairs, f"{first} minus {second}"))
    dark = read(args.returns, "unwatched")
    gaps = {
        f"{level} {world} {name} (seed {seed})": dark[level, world][name][seed] - value
        for (level, world), row in returns.items()
        for name, values in row.items()
        for seed, value in values.items()
    }
    largest = max(gaps, key=lambda run: abs(gaps[run]))
    print(f"unwatched minus watched: largest {gaps[largest]:+.3f}, {largest}")
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for level in dict.fromkeys(level for level, _ in returns):
            rows = {world: summaries(row) for (p, world), row in returns.items() if p == level}
            compare_worlds(rows, level, args.pictures)


if __name__ == "__main__":
    main()
