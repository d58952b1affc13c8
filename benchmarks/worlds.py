"""Compare the methods of sweeps/map.toml in all its worlds, from what benchmarks/deployed.py found.

    python benchmarks/worlds.py docs/map_returns.csv [--pictures FOLDER]

Prints the tables of docs/earlier.md: returns, and differences that are paired by seed. Intervals
are 95% bootstrap intervals of the mean over seeds.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from routed_rl.experiments.figures import compare_worlds
from routed_rl.experiments.summaries import Summary, summarise

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
    "seen_only_hide-oversight": "seen_only, oversight hidden",
    "naive": "naive, best by labels",
}
"""The same for its method, in the order of the tables."""
LEVELS = ("0.01", "0.1")
PAIRS = (("one expert", "routed"), ("absorbing, routes", "absorbing"), ("one expert", "absorbing"))
"""Of which methods differences are taken: of the first minus the second."""
NAME = re.compile(
    r"(?P<agent>\w+)_env-(gridworld)?_?(?P<world>\S*?)_?(?<=_)"
    r"oversight-(?P<level>0\.01|0\.1)_(?P<more>\S*?)_?seed-(?P<seed>\d+)"
)
"""The name of a run's folder."""

Row = dict[str, dict[int, float]]
"""Method, or pair of methods -> seed -> return, or difference."""
Cells = dict[tuple[str, str], Row]
"""(level of oversight, world) -> row."""


def read(path: Path, column: str = "return") -> Cells:
    """Read what each run of the sweep deploys does.

    Args:
        path: the file that benchmarks/deployed.py wrote.
        column: "return" at the oversight of training, "unwatched" with no end overseen.
    """
    cells: Cells = {}
    for world in WORLDS.values():
        for level in LEVELS:
            cells[level, world] = {method: {} for method in METHODS.values()}
    found = False
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            level, world, method, seed = parse(line["run"], path)
            cells[level, world][method][seed] = float(line[column])
            found = True
    if not found:
        raise SystemExit(
            f"{path} has no run: let benchmarks/deployed.py go through those of sweeps/map.toml."
        )
    return cells


def parse(run: str, path: Path) -> tuple[str, str, str, int]:
    """Read the name of a run: level of oversight, world, method, seed."""
    name = NAME.fullmatch(run)
    if name is not None:
        method = "_".join(filter(None, name.group("agent", "more")))
        if method in METHODS and name["world"] in WORLDS:
            return name["level"], WORLDS[name["world"]], METHODS[method], int(name["seed"])
    raise SystemExit(f"{path} has a run {run!r}, which is not of sweeps/map.toml.")


def differences(returns: Cells) -> Cells:
    """Return by how much the first of each pair of methods is above the second.

    Only seeds that both have are compared.
    """
    cells: Cells = {}
    for cell, row in returns.items():
        cells[cell] = {}
        for first, second in PAIRS:
            both = [seed for seed in row[first] if seed in row[second]]
            found = {seed: row[first][seed] - row[second][seed] for seed in both}
            cells[cell][f"{first} minus {second}"] = found
    return cells


def summaries(row: Mapping[str, Mapping[int, float]]) -> dict[str, Summary]:
    """Summarise each entry of a row over the seeds that are there."""
    found = {}
    for name, values in row.items():
        if values:
            found[name] = summarise([values[seed] for seed in sorted(values)])
    return found


def table(cells: Cells, form: str, *, bold: bool) -> str:
    """Write a row for each world and level of oversight, the best mean bold if asked."""
    names = list(next(iter(cells.values())))
    lines = [
        "| " + " | ".join(("world", "oversight", *names)) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for (level, world), row in cells.items():
        found = summaries(row)
        # As they are written, so that what looks equal is bold together.
        means = {name: f"{summary.mean:{form}}" for name, summary in found.items()}
        best = max(means.values(), key=float, default="") if bold else ""
        texts = [world, f"{float(level):.0%}"]
        for name in names:
            text = ""
            if name in found:
                text = found[name].text(form, bold=means[name] == best)
            texts.append(text)
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def count(pairs: Cells, name: str) -> str:
    """Say in how many worlds, pairs and intervals the first of two methods is ahead."""
    rows = [row[name] for row in pairs.values() if row[name]]
    cells = [summaries({name: row})[name] for row in rows]
    values = [value for row in rows for value in row.values()]
    by_seed = []
    for seed in sorted(set().union(*rows)):
        over_worlds = mean(row[seed] for row in rows if seed in row)
        by_seed.append(f"{over_worlds:+.3f} (seed {seed})")
    means_above = sum(cell.mean > 0 for cell in cells)
    values_above = sum(value > 0 for value in values)
    intervals_above = sum(cell.low > 0 for cell in cells)
    intervals_below = sum(cell.high < 0 for cell in cells)
    return (
        f"{name}: above 0 in {means_above} of {len(cells)} means "
        f"and {values_above} of {len(values)} pairs; "
        f"interval above 0 in {intervals_above}, below 0 in {intervals_below}; "
        f"mean over all worlds {', '.join(by_seed)}"
    )


def largest_gap(returns: Cells, unwatched: Cells) -> str:
    """Say in which run the return changes most when no end is overseen."""
    gaps = {}
    for (level, world), row in returns.items():
        for name, values in row.items():
            for seed, value in values.items():
                gap = unwatched[level, world][name][seed] - value
                gaps[f"{level} {world} {name} (seed {seed})"] = gap
    run = max(gaps, key=lambda run: abs(gaps[run]))
    return f"unwatched minus watched: largest {gaps[run]:+.3f}, {run}"


def draw(returns: Cells, folder: Path) -> None:
    """Draw the returns at each level of oversight."""
    folder.mkdir(parents=True, exist_ok=True)
    for level in LEVELS:
        rows = {world: summaries(row) for (of, world), row in returns.items() if of == level}
        compare_worlds(rows, level, folder)


def main() -> None:
    """Print the tables, and draw them if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("returns", type=Path, help="the file that benchmarks/deployed.py wrote")
    parser.add_argument("--pictures", type=Path, help="a folder to draw the returns in")
    args = parser.parse_args()
    if not args.returns.is_file():
        raise SystemExit(
            f"There is no file {args.returns}: give the one that benchmarks/deployed.py wrote."
        )
    returns = read(args.returns)
    pairs = differences(returns)
    print(table(returns, "z.2f", bold=True))
    print(table(pairs, "+z.3f", bold=False))
    for first, second in PAIRS:
        print(count(pairs, f"{first} minus {second}"))
    print(largest_gap(returns, read(args.returns, "unwatched")))
    if args.pictures:
        draw(returns, args.pictures)


if __name__ == "__main__":
    main()
