"""What each run of a sweep deploys really does: exactly where there are tables, else by episodes.

    python benchmarks/deployed.py runs/map returns.csv [--episodes 100000] [--only mimic looks]

A run's own evaluation plays few episodes where it is not exact, lest it outlast training. This
plays as many as asked, with the policy to deploy of the last checkpoint. Of `naive` it is that of
the checkpoint that is best by labels. Each policy is evaluated at the oversight of training, and
with no end overseen. A row is written as soon as it is known; runs that the file has are skipped.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from routed_rl import load
from routed_rl.training import checkpoints

FIELDS: tuple[str, ...] = ("run", "exact", "return", "standard_error", "unwatched")


def deployed(folder: Path, episodes: int) -> dict[str, object]:
    """Return the row of a run."""
    run = load(folder)
    best = folder / "checkpoints" / "best_by_labels.pt"
    if run.setup.config.names.agent == "naive" and best.exists():
        run.setup.restore(run.agent, checkpoints.load(best, run.setup.device), best)
    name = run.agent.deployed
    policy = {name: run.deploy()}
    report = run.setup.make_evaluator(episodes=episodes).returns(policy)[name]
    error = 0.0
    unwatched = report.unwatched
    if not report.exact:
        error = report.standard_error
        unseen = run.setup.make_evaluator(episodes=episodes, oversight=0.0)
        unwatched = unseen.returns(policy)[name].true_return
    return {
        "run": folder.name,
        "exact": report.exact,
        "return": f"{report.true_return:.5f}",
        "standard_error": f"{error:.5f}",
        "unwatched": f"{unwatched:.5f}",
    }


def finished(runs: Path, words: list[str]) -> list[Path]:
    """List the finished runs of a folder, or those whose names have one of some words."""
    folders = [path.parent for path in sorted(runs.glob("*/result.json"))]
    if not folders:
        raise SystemExit(f"{runs} holds no finished run: give a folder that sweep.py made.")
    if not words:
        return folders
    return [folder for folder in folders if any(word in folder.name for word in words)]


def known(path: Path) -> set[str]:
    """Name the runs that a file has rows of."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {row["run"] for row in csv.DictReader(file)}


def rows(folders: list[Path], episodes: int) -> Iterator[dict[str, object]]:
    """Yield the row of each run, and say how long the others will take."""
    began = time.monotonic()
    for number, folder in enumerate(folders, start=1):
        yield deployed(folder, episodes)
        left = len(folders) - number
        minutes = (time.monotonic() - began) / number * left / 60
        print(f"{folder.name}: done, {left} left, {minutes:.0f} min", file=sys.stderr)


def main() -> None:
    """Go through the runs of a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder of a sweep's runs")
    parser.add_argument("out", type=Path, help="the csv file to add rows to")
    parser.add_argument("--episodes", type=int, default=100_000, help="where there are no tables")
    parser.add_argument("--only", nargs="*", default=[], help="runs with one of these in the name")
    args = parser.parse_args()
    there = known(args.out)
    folders = [folder for folder in finished(args.runs, args.only) if folder.name not in there]
    with args.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not there:
            writer.writeheader()
        for row in rows(folders, args.episodes):
            writer.writerow(row)
            file.flush()  # what is known stays, whatever happens to the next


if __name__ == "__main__":
    main()
