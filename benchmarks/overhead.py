"""What routing adds to a training step of a 4-layer transformer: `python benchmarks/overhead.py`.

Every attention and every MLP is routed, by a mask for each sample of a mixed batch. Plain and routed steps take turns
in one run, and times are of the processor, so that a busy machine blurs neither; the ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples._language import Transformer, mean_loss
from routed_rl.routing import Activations, Parameters, Rule, Values, routed


def overhead(width: int, batch: int, length: int, turns: int) -> dict[str, float]:
    """Measure what each mechanism adds, as a share of a plain step."""
    torch.manual_seed(0)
    model = Transformer(1000, length, width=width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    texts, keep = torch.randint(1, 1000, (batch, length)), torch.arange(batch) % 2 == 0
    kinds: dict[str, type[Activations] | type[Parameters] | type[Values]] = {
        "activations": Activations,
        "parameters": Parameters,
        "values": Values,
    }
    rules: dict[str, Mapping[str, Rule]] = {"plain": {}} | {
        name: {"blocks.*.attention": kind(keep), "blocks.*.mlp": kind(keep)} for name, kind in kinds.items()
    }
    times: dict[str, list[float]] = {name: [] for name in rules}
    for turn in range(turns + 2):
        for name, rule in rules.items():
            began = time.process_time()
            optimizer.zero_grad()
            with routed(model, rule):
                mean_loss(model, texts).backward()
            optimizer.step()
            if turn >= 2:
                times[name].append(time.process_time() - began)
    ratios = {name: [a / b for a, b in zip(own, times["plain"], strict=True)] for name, own in times.items()}
    return {name: statistics.median(own) - 1 for name, own in ratios.items() if name != "plain"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--turns", type=int, default=30)
    args = parser.parse_args()
    print(f"4 layers of {args.width}, {args.batch} texts of {args.length} words. Added to a plain training step:")
    for name, added in overhead(args.width, args.batch, args.length, args.turns).items():
        print(f"{name:12} {added:6.1%}")


if __name__ == "__main__":
    main()
