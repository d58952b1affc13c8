"""What routing adds to a training step of a 4-layer transformer: `python benchmarks/overhead.py`.

Every attention and every MLP is routed, by a mask for each sample of a mixed batch. Plain and
routed steps take turns in one run, and times are of the processor, so that a busy machine blurs
neither. The ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from examples._language import Transformer, mean_loss
from routed_rl import Activations, Parameters, Values, routed
from routed_rl.routing import Rule

WORDS = 1000
WARM_UP = 2
KINDS = {"activations": Activations, "parameters": Parameters, "values": Values}


def overhead(width: int, batch: int, length: int, turns: int) -> dict[str, float]:
    """Measure what each mechanism adds, as a share of a plain step."""
    torch.manual_seed(0)
    model = Transformer(WORDS, length, width=width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    texts = torch.randint(1, WORDS, (batch, length))
    mask = torch.arange(batch) % 2 == 0
    rules: dict[str, Mapping[str, Rule]] = {"plain": {}}
    for name, kind in KINDS.items():
        rules[name] = {"blocks.*.attention": kind(mask), "blocks.*.mlp": kind(mask)}

    def step(rule: Mapping[str, Rule]) -> None:
        optimizer.zero_grad()
        with routed(model, rule):
            mean_loss(model, texts).backward()
        optimizer.step()

    times: dict[str, list[float]] = {name: [] for name in rules}
    for turn in range(WARM_UP + turns):
        for name, rule in rules.items():
            seconds = processor_seconds(lambda rule=rule: step(rule))
            if turn >= WARM_UP:
                times[name].append(seconds)
    plain = times.pop("plain")
    added = {}
    for name, own in times.items():
        added[name] = statistics.median(a / b for a, b in zip(own, plain, strict=True)) - 1
    return added


def processor_seconds(action: Callable[[], None]) -> float:
    """Time an action by the processor's clock."""
    began = time.process_time()
    action()
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--turns", type=int, default=30)
    args = parser.parse_args()
    size = f"4 layers of {args.width}, {args.batch} texts of {args.length} words"
    print(f"{size}. Added to a plain training step:")
    for name, added in overhead(args.width, args.batch, args.length, args.turns).items():
        print(f"{name:12} {added:6.1%}")


if __name__ == "__main__":
    main()
