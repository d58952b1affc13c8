"""How much of the gap between naive training and the oracle each method closes, world by world.

    python benchmarks/gap.py runs/foreign

Takes a folder of finished runs, such as `python sweep.py sweeps/foreign.toml` leaves. Prints a
markdown table for each world: the true and the paid return of the policy to deploy, bad outcomes in
an episode, each the mean over seeds, and the share of the gap that the true return closes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from routed_rl.experiments.results import Result, load
from routed_rl.experiments.summaries import tabulate

MEASURES = {"return": "true return", "paid_return": "paid return", "bad_per_episode": "bad"}
"""Measure -> the title of its column."""


def means(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return the mean over seeds of each measure: method -> measure -> mean."""
    table: dict[str, dict[str, float]] = {}
    for measure in MEASURES:
        for method, row in tabulate(results, measure, "policies").items():
            (summary,) = row.values()  # one level of oversight
            table.setdefault(method, {})[measure] = summary.mean
    return table


def closed(table: Mapping[str, Mapping[str, float]], method: str) -> float:
    """Return the share of the gap between naive and oracle that a method closes."""
    low = table["naive"]["return"]
    return (table[method]["return"] - low) / (table["oracle"]["return"] - low)


def markdown(table: Mapping[str, Mapping[str, float]]) -> str:
    """Write the table of a world, the best method first."""
    lines = [f"| agent | {' | '.join(MEASURES.values())} | of the gap |", "|---" * 5 + "|"]
    for method in sorted(table, key=lambda name: -table[name]["return"]):
        numbers = " | ".join(f"{table[method][measure]:.2f}" for measure in MEASURES)
        lines.append(f"| {method} | {numbers} | {closed(table, method):.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Print a table for each world that has runs of naive and of the oracle."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    results, _ = load(parser.parse_args().folder)
    for world in sorted({result.world for result in results}):
        runs = [result for result in results if result.world == world]
        table = means(runs)
        if {"naive", "oracle"} <= set(table):
            seeds = len({result.seed for result in runs})
            print(f"### {world}\nMean over {seeds} seeds.\n\n{markdown(table)}\n")


if __name__ == "__main__":
    main()
