"""What each run of a sweep deploys really does: exactly where there are tables, else by 100,000 episodes.

    python benchmarks/deployed.py runs/map returns.csv [--episodes 100000] [--only mimic looks]

A run's own evaluation plays few episodes where it is not exact, lest it outlast training. This plays as many as asked
with the policy to ship of the last checkpoint, of `naive` that of the best by labels, at the oversight of training and
with nobody watching. Each row is written as soon as it is known; runs that the file has already are skipped.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from routed_rl import assembly, checkpoint

FIELDS = ("run", "exact", "return", "standard_error", "unwatched")


def deployed(folder: Path, episodes: int) -> Mapping[str, object]:
    """Return the row of a run."""
    run, agent = assembly.reopen(folder, "deployed.py")
    best = folder / "checkpoints" / "best_by_labels.pt"
    if run.choice.agent == "naive" and best.exists():
        run.restore(agent, checkpoint.load(best, run.device), best)
    policy = {agent.deployed: agent.policies()[agent.deployed]}
    watched = run.make_evaluator(episodes=episodes).returns(policy)[agent.deployed]
    if watched["exact"]:
        error, dark = 0.0, watched["unwatched"]
    else:
        error = watched["standard_error"]
        dark = run.make_evaluator(episodes=episodes, oversight=0.0).returns(policy)[agent.deployed]["return"]
    found = {"return": watched["return"], "standard_error": error, "unwatched": dark}
    return {"run": folder.name, "exact": watched["exact"]} | {name: f"{value:.5f}" for name, value in found.items()}


def main() -> None:
    """Go through the runs of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of a sweep's runs")
    parser.add_argument("out", type=Path, help="the csv file to add rows to")
    parser.add_argument("--episodes", type=int, default=100_000, help="to play where there are no tables")
    parser.add_argument("--only", nargs="*", default=[], help="only runs whose names have one of these words")
    args = parser.parse_args()
    finished = [path.parent for path in sorted(args.runs.glob("*/result.json"))]
    if not finished:
        raise SystemExit(f"{args.runs} holds no finished run: give a folder that sweep.py made.")
    there = set()
    if args.out.exists():
        with args.out.open(newline="") as file:
            there = {row["run"] for row in csv.DictReader(file)}
    wanted = [path for path in finished if not args.only or any(word in path.name for word in args.only)]
    folders = [path for path in wanted if path.name not in there]
    with args.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not there:
            writer.writeheader()
        began = time.monotonic()
        for number, folder in enumerate(folders, start=1):
            writer.writerow(deployed(folder, args.episodes))
            file.flush()
            left = (time.monotonic() - began) / number * (len(folders) - number)
            print(f"{folder.name}: done, {len(folders) - number} left, {left / 60:.0f} min", file=sys.stderr)


if __name__ == "__main__":
    main()
