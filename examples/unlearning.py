"""Unlearning a topic when only some of its stories are labelled: Expand, Route, Ablate against its rivals.

    python examples/unlearning.py                          about five minutes on two cores
    python examples/unlearning.py --fractions 0.5          one label fraction
    python examples/unlearning.py --full --seeds 1         the paper's depth, for a graphics card's machine

Cloud et al. (arXiv 2410.04332), section 4.2. Stories about the sea are to be forgotten, and a fraction of them is
labelled; nothing else is. Every method deploys a model of the same size:

- base: learns everything, forgets nothing;
- filtering: is trained without the labelled stories;
- RMU (Li et al., arXiv 2403.03218): the base model, tuned until a layer says a random thing on labelled stories;
- DEMix (Gururangan et al., arXiv 2108.05036): labelled stories go through MLPs of their own, which are deleted;
- ERA: new units, gradients of labelled stories routed into them, the units deleted; routed by activations, as in the
  paper, or by parameter gradients, as in SGTM (arXiv 2512.05648).

All but base are then repaired on 64 stories that are kept. Losses are of held-out stories, in nats a word: forget (high
is good), forget after relearning from 64 stories about the sea (high is good), retain (low is good; what it is above
the base's is the alignment tax).
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples._language import Transformer, mean_loss
from examples._seeds import flags, run, save
from examples._stories import FULL, Data, Size, era
from routed_rl.plotting import COLOURS
from routed_rl.regions import delete, expand
from routed_rl.routing import Values
from routed_rl.tables import summarise

METHODS = ("base", "filtering", "RMU", "DEMix", "ERA, activations", "ERA, parameters")


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
    """Tune the base model until a layer says a random thing on labelled stories, and what it said on others."""
    model = base(data, labelled)
    frozen = copy.deepcopy(model).requires_grad_(False)
    layer = (data.size.layers - 1) // 2
    aim = torch.nn.functional.normalize(torch.rand(data.size.width, generator=data.generator), dim=0) * RMU_LENGTH
    forget, other = data.texts[labelled], data.texts[~labelled]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(f"blocks.{layer}.mlp"))

    def loss(index: Tensor) -> Tensor:
        retain = other[index]
        drawn = forget[torch.randint(len(forget), (len(index),), generator=data.generator)]
        away = (model.stream(drawn, layer) - aim).square().mean()
        return away + RMU_RETAIN * (model.stream(retain, layer) - frozen.stream(retain, layer)).square().mean()

    data.train(model, loss, len(other), steps=data.size.steps // 4, learning_rate=data.size.learning_rate / 4)
    return model.requires_grad_(True)


RMU_LENGTH, RMU_RETAIN = 100.0, 1.0
"""Length of the random direction, and how much keeping what was said on other stories counts."""


def demix(data: Data, labelled: Tensor) -> Transformer:
    """Train an MLP in each layer for labelled stories and another one for the rest, and delete the first."""
    model, layers = data.model(), range(data.size.layers)
    for layer in layers:
        expand(model, f"blocks.{layer}.mlp", copy.deepcopy(model.blocks[layer].mlp))
    data.train(
        model,
        lambda index: mean_loss(model, data.texts[index]),
        len(data.texts),
        rules=lambda index: {
            "blocks.*.mlp.base": Values(~labelled[index]),
            "blocks.*.mlp.branch": Values(labelled[index]),
        },
    )
    for layer in layers:
        delete(model, f"blocks.{layer}.mlp")
    return model


def forgotten(data: Data, name: str, labelled: Tensor) -> Transformer:
    """Train the model that a method deploys.

    What the rest of an ERA model unlearns from a labelled story is meant to balance what it learns from the ones that
    nobody labelled: with all labelled there is nothing to unlearn. So ERA is told how many there are.
    """
    if name.startswith("ERA"):
        marked = labelled[:, None].expand(-1, data.texts.shape[1] - 1)
        hidden = float((data.forget & ~labelled).sum() / labelled.sum())
        return era(data, marked, name.removeprefix("ERA, "), strength=min(1.0, hidden))[1]
    return {"base": base, "filtering": filtering, "RMU": rmu, "DEMix": demix}[name](data, labelled)


def job(size: Size, seed: int, name: str, fraction: float) -> dict[str, Any]:
    """Train one method, repair it, measure it, and measure it again as it relearns."""
    data = Data(size, seed)
    labelled = data.forget & (torch.rand(len(data.forget), generator=data.generator) < fraction)
    model = forgotten(data, name, labelled)
    if name != "base":
        data.tune(model, "retain", size.repair_steps)
    found = {"forget": data.loss(model, "forget"), "retain": data.loss(model, "retain")}
    curve = {0: found["forget"]}

    def watch(steps: int) -> None:
        if steps % (size.relearn_steps // 5) == 0:
            curve[steps] = data.loss(model, "forget")

    data.tune(model, "forget", size.relearn_steps, watch)
    return found | {"relearnt": min(curve.values()), "curve": curve}


def picture(
    table: Mapping[tuple[str, float], Sequence[dict[str, Any]]], fractions: Sequence[float], path: Path
) -> None:
    """Draw what is left to know and what it costs at each label fraction, and how fast the topic comes back."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    shown = min(fractions, key=lambda fraction: abs(fraction - 0.5))
    for name, colour in zip(METHODS, COLOURS, strict=False):
        for axes, column in ((left, "relearnt"), (right, "retain")):
            means = [summarise([seed[column] for seed in table[name, fraction]]) for fraction in fractions]
            spread = [[m.mean - m.low for m in means], [m.high - m.mean for m in means]]
            axes.errorbar(fractions, [m.mean for m in means], spread, color=colour, capsize=2, marker="o", ms=3)
        curves = [seed["curve"] for seed in table[name, shown]]
        heights = [sum(curve[step] for curve in curves) / len(curves) for step in curves[0]]
        middle.plot(list(curves[0]), heights, color=colour, label=name, marker="o", ms=3)
    left.set(title="forget loss, relearnt", xlabel="forget stories with a label", ylabel="nats a word")
    middle.set(title=f"relearning at {shown:.0%} labels", xlabel="steps on 64 forget stories")
    right.set(title="retain loss: the tax", xlabel="forget stories with a label")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    figure.legend(loc="outside lower center", ncols=len(METHODS), frameon=False, fontsize=8)
    save(figure, path)


def main() -> None:
    """Train every method at every label fraction with some seeds and print the table."""
    parser = flags(__doc__, "unlearning.png")
    parser.add_argument("--fractions", type=_fraction, nargs="+", default=[0.1, 0.5, 1.0], help="of forget stories")
    args = parser.parse_args()
    size = FULL if args.full else Size()
    kinds = [(name, fraction) for name in METHODS for fraction in (args.fractions if name != "base" else [0.0])]
    settings = [(size, seed, name, fraction) for name, fraction in kinds for seed in range(args.seeds)]
    results = iter(run(job, settings, args.jobs))
    table = {kind: [next(results) for _ in range(args.seeds)] for kind in kinds}
    print(f"{args.seeds} seeds, mean (95% interval), nats a word:")
    print(f"{'labels':8}{'method':18}{'forget':>22}{'relearnt':>22}{'retain':>22}")
    for fraction in [0.0, *args.fractions]:
        for name in METHODS:
            if (name, fraction) in table:
                found = table[name, fraction]
                cells = [
                    summarise([seed[column] for seed in found]).text(".2f")
                    for column in ("forget", "relearnt", "retain")
                ]
                print(f"{fraction:<8.0%}{name:18}" + "".join(f"{cell:>22}" for cell in cells))
    picture(table | {("base", fraction): table["base", 0.0] for fraction in args.fractions}, args.fractions, args.out)
    print(f"Picture: {args.out}")


def _fraction(text: str) -> float:
    """Read a label fraction."""
    try:
        if 0 < (fraction := float(text)) <= 1:
            return fraction
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no fraction of the forget stories: give one above 0, up to 1")


if __name__ == "__main__":
    main()
