"""What routing adds to a training step of a 4-layer transformer: `python benchmarks/overhead.py`.

Every attention and every MLP is routed, by a mask for each sample of a mixed batch: bool, for half
of the samples or for all of them, or floats. Plain and routed steps take turns in one run, and
times are of the processor, so that a busy machine blurs neither. The ratio is the median over
turns. Memory is what the step has allocated at its peak beyond what was there before it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from examples._language import Transformer, mean_loss
from routed_rl import Activations, Parameters, Values, routed
from routed_rl.routing import Rule

WORDS = 1000
WARM_UP = 2
KINDS: dict[str, tuple[type, Callable[[int], Tensor]]] = {
    "activations": (Activations, lambda batch: torch.arange(batch) % 2 == 0),
    "parameters": (Parameters, lambda batch: torch.arange(batch) % 2 == 0),
    "parameters, every sample": (Parameters, lambda batch: torch.ones(batch).bool()),
    "parameters, floats": (Parameters, lambda batch: torch.full((batch,), 0.5)),
    "values": (Values, lambda batch: torch.arange(batch) % 2 == 0),
}
"""What is measured: the kind of rule, and its mask for a batch."""


class Added(NamedTuple):
    """What a mechanism adds, as shares of a plain step."""

    time: float
    memory: float


def overhead(width: int, batch: int, length: int, turns: int) -> dict[str, Added]:
    """Measure what each mechanism adds."""
    torch.manual_seed(0)
    model = Transformer(WORDS, length, width=width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    texts = torch.randint(1, WORDS, (batch, length))
    rules: dict[str, Mapping[str, Rule]] = {"plain": {}}
    for name, (kind, masks) in KINDS.items():
        mask = masks(batch)
        rules[name] = {"blocks.*.attention": kind(mask), "blocks.*.mlp": kind(mask)}

    def learn(rule: Mapping[str, Rule]) -> None:
        with routed(model, rule):
            mean_loss(model, texts).backward()

    def step(rule: Mapping[str, Rule]) -> None:
        optimizer.zero_grad()
        learn(rule)
        optimizer.step()

    times: dict[str, list[float]] = {name: [] for name in rules}
    for turn in range(WARM_UP + turns):
        for name, rule in rules.items():
            seconds = processor_seconds(lambda rule=rule: step(rule))
            if turn >= WARM_UP:
                times[name].append(seconds)
    peaks = {name: peak_bytes(lambda rule=rule: learn(rule)) for name, rule in rules.items()}
    return {
        name: Added(
            statistics.median(a / b for a, b in zip(times[name], times["plain"], strict=True)) - 1,
            peaks[name] / peaks["plain"] - 1,
        )
        for name in KINDS
    }


def peak_bytes(action: Callable[[], None]) -> int:
    """Return how many bytes of tensors an action has at its peak, beyond those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        action()
    total = peak = 0
    for event in found.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    return peak


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
        print(f"{name:26} time {added.time:6.1%}   memory {added.memory:6.1%}")


if __name__ == "__main__":
    main()
