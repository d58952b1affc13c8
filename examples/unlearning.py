"""Unlearning a topic when only some of its stories are labelled: ERA against its rivals.

    python examples/unlearning.py                          about five minutes on two cores
    python examples/unlearning.py --fractions 0.5          one label fraction
    python examples/unlearning.py --full --seeds 1         the paper's depth; for graphics cards

Cloud et al. (arXiv 2410.04332), section 4.2. Stories about the sea are to be forgotten. A fraction
of them is labelled; nothing else is. Every method deploys a model of the same size:

- base: learns everything, forgets nothing;
- filtering: is trained without the labelled stories;
- RMU (Li et al., arXiv 2403.03218): the base model, tuned until a layer says a random thing on
  labelled stories;
- DEMix (Gururangan et al., arXiv 2108.05036): labelled stories go through MLPs of their own, which
  are deleted;
- ERA (Expand, Route, Ablate): gradients of labelled stories are routed into new units, which are
  deleted. They are routed by activations, as in the paper, or by parameter gradients, as in SGTM
  (arXiv 2512.05648).

All but base are then repaired on 64 stories that are kept. Losses are of held-out stories, in nats
a word:

- forget: of stories about the sea; high is good;
- relearnt: the same after training on 64 stories about the sea; high is good;
- retain: of other stories; low is good, and what is above the base's is the alignment tax.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _language import Transformer, train
from _pictures import save, spread
from _seeds import flags, run
from _stories import Data, era
from _storyteller import FULL, Size
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from routed_rl.experiments.styles import COLOURS
from routed_rl.experiments.summaries import summarise
from routed_rl.routing import Values, delete, expand

METHODS = ("base", "filtering", "RMU", "DEMix", "ERA, activations", "ERA, parameters")
RMU_LENGTH = 100.0
"""Length of RMU's random direction."""
RMU_RETAIN = 1.0
"""Coefficient of keeping what was said on other stories."""

Table = Mapping[tuple[str, float], Sequence[dict[str, Any]]]
"""(method, label fraction) -> what each seed found."""


def base(data: Data, labelled: Tensor) -> Transformer:
    """Learn from everything."""
    model = data.model()
    data.fit(model)
    return model


def filtering(data: Data, labelled: Tensor) -> Transformer:
    """Learn from what is not labelled."""
    model = data.model()
    data.fit(model, ~labelled)
    return model


def rmu(data: Data, labelled: Tensor) -> Transformer:
    """Tune the base model until a layer says a random thing on labelled stories.

    On others it is to say what it said before.
    """
    model = base(data, labelled)
    frozen = copy.deepcopy(model).requires_grad_(False)
    layer = (data.size.layers - 1) // 2
    direction = torch.rand(data.size.width, generator=data.generator)
    aim = torch.nn.functional.normalize(direction, dim=0) * RMU_LENGTH
    forget = data.texts[labelled]
    other = data.texts[~labelled]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(f"blocks.{layer}.mlp"))

    def loss(index: Tensor) -> Tensor:
        retain = other[index]
        drawn = forget[torch.randint(len(forget), (len(index),), generator=data.generator)]
        away = (model.stream(drawn, layer) - aim).square().mean()
        changed = model.stream(retain, layer) - frozen.stream(retain, layer)
        return away + RMU_RETAIN * changed.square().mean()

    size = data.size
    shorter = replace(data.training, steps=size.steps // 4, learning_rate=size.learning_rate / 4)
    train(model, loss, len(other), shorter)
    return model.requires_grad_(True)


def demix(data: Data, labelled: Tensor) -> Transformer:
    """Train an MLP in each layer for labelled stories and one for the rest; delete the first."""
    model = data.model()
    layers = range(data.size.layers)
    for layer in layers:
        expand(model, f"blocks.{layer}.mlp", copy.deepcopy(model.blocks[layer].mlp))

    def rules(index: Tensor) -> dict[str, Values]:
        return {
            "blocks.*.mlp.base": Values(~labelled[index]),
            "blocks.*.mlp.branch": Values(labelled[index]),
        }

    data.fit(model, rules=rules)
    for layer in layers:
        delete(model, f"blocks.{layer}.mlp")
    return model


def forgotten(data: Data, name: str, labelled: Tensor) -> Transformer:
    """Train the model that a method deploys.

    What the rest of an ERA model unlearns from a labelled story is meant to balance what it learns
    from the ones that nobody labelled. With all labelled there is nothing to unlearn. So ERA is
    told how many there are.
    """
    if name.startswith("ERA"):
        marked = labelled[:, None].expand(-1, data.texts.shape[1] - 1)
        hidden = float((data.forget & ~labelled).sum() / labelled.sum())
        _, ablated = era(data, marked, name.removeprefix("ERA, "), strength=min(1.0, hidden))
        return ablated
    methods = {"base": base, "filtering": filtering, "RMU": rmu, "DEMix": demix}
    return methods[name](data, labelled)


def job(size: Size, seed: int, name: str, fraction: float) -> dict[str, Any]:
    """Train one method, repair it, measure it, and measure it again as it relearns."""
    data = Data(size, seed)
    labelled = data.forget & (torch.rand(len(data.forget), generator=data.generator) < fraction)
    model = forgotten(data, name, labelled)
    if name != "base":
        data.tune(model, "retain", size.repair_steps)
    found = {"forget": data.loss(model, "forget"), "retain": data.loss(model, "retain")}
    curve = {0: found["forget"]}

    def measure(steps: int) -> None:
        if steps % (size.relearn_steps // 5) == 0:
            curve[steps] = data.loss(model, "forget")

    data.tune(model, "forget", size.relearn_steps, measure)
    return found | {"relearnt": min(curve.values()), "curve": curve}


def picture(table: Table, fractions: Sequence[float], path: Path) -> None:
    """Draw what is left to know, how fast it comes back, and what that costs."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    shown = min(fractions, key=lambda fraction: abs(fraction - 0.5))
    for name, colour in zip(METHODS, COLOURS, strict=False):
        own = {fraction: table[name, fraction] for fraction in fractions}
        plot_fractions(left, own, "relearnt", colour)
        plot_fractions(right, own, "retain", colour)
        curves = [seed["curve"] for seed in own[shown]]
        heights = [sum(curve[step] for curve in curves) / len(curves) for step in curves[0]]
        middle.plot(list(curves[0]), heights, color=colour, label=name, marker="o", ms=3)
    labels = "forget stories with a label"
    left.set(title="forget loss, relearnt", xlabel=labels, ylabel="nats a word")
    middle.set(title=f"relearning at {shown:.0%} labels", xlabel="steps on 64 forget stories")
    right.set(title="retain loss: the tax", xlabel=labels)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    figure.legend(loc="outside lower center", ncols=len(METHODS), frameon=False, fontsize=8)
    save(figure, path)


def plot_fractions(
    axes: Axes, own: Mapping[float, Sequence[dict[str, Any]]], column: str, colour: str
) -> None:
    """Draw one loss of one method against the label fraction, with intervals."""
    summaries = [summarise([seed[column] for seed in seeds]) for seeds in own.values()]
    means = [summary.mean for summary in summaries]
    style = {"color": colour, "capsize": 2, "marker": "o", "ms": 3}
    axes.errorbar(list(own), means, spread(summaries), **style)


def show(table: Table, fractions: Sequence[float]) -> None:
    """Print the losses of each method at each label fraction."""
    columns = ("forget", "relearnt", "retain")
    print(f"{'labels':8}{'method':18}" + "".join(f"{column:>22}" for column in columns))
    for fraction in (0.0, *fractions):
        for name in METHODS:
            if (name, fraction) in table:
                line = f"{fraction:<8.0%}{name:18}"
                for column in columns:
                    summary = summarise([seed[column] for seed in table[name, fraction]])
                    line += f"{summary.text('.2f'):>22}"
                print(line)


def main() -> None:
    """Train every method at every label fraction with some seeds and print the table."""
    parser = flags(__doc__, "unlearning.png")
    parser.add_argument(
        "--fractions", type=_fraction, nargs="+", default=[0.1, 0.5, 1.0], help="of forget stories"
    )
    args = parser.parse_args()
    size = FULL if args.full else Size()
    kinds = [("base", 0.0)]  # it is trained once: no label changes it
    for name in METHODS[1:]:
        kinds += [(name, fraction) for fraction in args.fractions]
    settings = [(size, seed, *kind) for kind in kinds for seed in range(args.seeds)]
    results = iter(run(job, settings, args.jobs))
    table = {kind: [next(results) for _ in range(args.seeds)] for kind in kinds}
    print(f"{args.seeds} seeds, mean (95% interval), nats a word:")
    show(table, args.fractions)
    for fraction in args.fractions:
        table["base", fraction] = table["base", 0.0]  # for the picture
    picture(table, args.fractions, args.out)
    print(f"Picture: {args.out}")


def _fraction(text: str) -> float:
    """Read a label fraction."""
    try:
        if 0 < (fraction := float(text)) <= 1:
            return fraction
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} is no fraction of the forget stories: give one above 0, up to 1"
    )


if __name__ == "__main__":
    main()
