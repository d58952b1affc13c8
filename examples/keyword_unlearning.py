"""Unlearning a topic by routing 20 of its words, and nothing else of its stories.

    python examples/keyword_unlearning.py                    about a minute on two cores
    python examples/keyword_unlearning.py --full --seeds 1   the paper's depth; for graphics cards

Cloud et al. (arXiv 2410.04332), section 4.2.3. No story is labelled. 20 words that only stories
about the sea have are routed into new units wherever they stand: at the position of the word and at
the one that predicts it. Then the units are deleted. If the rest of the topic is forgotten too, it
was absorbed: what is used together is learnt together.

The table gives the loss on held-out stories about the sea: its rise over that of a model that
learnt everything, in nats a word. It is taken over all words, over all but the 20, and over the
lines of stories in which none of the 20 occurs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from _language import mean_loss
from _pictures import bars, save
from _seeds import flags, run
from _stories import Data, era
from _storyteller import FULL, Size
from matplotlib.figure import Figure
from torch import Tensor, nn

from routed_rl.experiments.summaries import summarise

KEYWORDS = 20
COLUMNS = {
    "all": "all words",
    "others": "without the 20",
    "untouched": "lines with none",
    "retain": "kept topics",
}
TICKS = ("sea, all words", "sea, without the 20", "sea, lines with none", "kept topics")

Losses = dict[str, float]
"""Column -> nats a word."""
Found = list[dict[str, Losses]]
"""For each seed: model -> losses."""


def chosen(data: Data) -> Tensor:
    """Choose the most frequent words that only the topic has.

    Returns:
        (V,) bool, of each word whether it is one.
    """
    words = len(data.stories.words)
    in_topic = torch.bincount(data.texts[data.forget].flatten(), minlength=words)
    elsewhere = torch.bincount(data.texts[~data.forget].flatten(), minlength=words)
    index = torch.where(elsewhere == 0, in_topic, 0).topk(KEYWORDS).indices
    return torch.zeros(words, dtype=torch.bool).index_fill(0, index, True)


def touched(texts: Tensor, keyword: Tensor, stop: int) -> Tensor:
    """Say of each word whether its line has a keyword.

    Args:
        texts: (N, T) int64.
        keyword: (V,) bool.
        stop: the word that ends a line.

    Returns:
        (N, T) bool.
    """
    # A word's line is the number of stops before it: those up to it, moved on by one.
    stops = (texts == stop).long().cumsum(dim=1)
    line = stops.roll(1, dims=1).index_fill(1, torch.tensor([0]), 0)  # (N, T)
    found = torch.zeros_like(texts).scatter_add(1, line, keyword[texts].long())  # by line
    return found.gather(1, line) > 0


@torch.no_grad()
def losses(model: nn.Module, data: Data, keyword: Tensor) -> Losses:
    """Measure the loss over each kind of words."""
    texts = data.held_out["forget"]
    counted = {
        "all": torch.ones_like(texts, dtype=torch.bool),
        "others": ~keyword[texts],
        "untouched": ~touched(texts, keyword, data.stories.number(".")),
    }
    found = {name: float(mean_loss(model, texts, which)) for name, which in counted.items()}
    return found | {"retain": data.loss(model, "retain")}


def job(size: Size, seed: int) -> dict[str, Losses]:
    """Train a model that learns everything, and ERA by each kind of routing.

    Returns:
        model -> losses.
    """
    data = Data(size, seed)
    keyword = chosen(data)
    # (N, T - 1): where a keyword is predicted, and where it stands.
    marked = keyword[data.texts[:, 1:]] | keyword[data.texts[:, :-1]]
    base = data.model()
    data.fit(base)
    found = {"base": losses(base, data, keyword)}
    for kind in ("activations", "parameters"):
        _, ablated = era(data, marked, kind)
        data.tune(ablated, "retain", size.repair_steps)
        found[f"ERA, {kind}"] = losses(ablated, data, keyword)
    return found


def rises(found: Found, name: str) -> dict[str, list[float]]:
    """Take what each loss rose by over the base's, seed by seed."""
    rise = {}
    for column in COLUMNS:
        rise[column] = [seed[name][column] - seed["base"][column] for seed in found]
    return rise


def picture(found: Found, names: list[str], path: Path) -> None:
    """Draw the rises as bars with their intervals."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    groups = {}
    for name in names:
        groups[name] = [summarise(values) for values in rises(found, name).values()]
    bars(axes, groups, step=0.38, cap=2)
    axes.set_xticks(range(len(TICKS)), TICKS)
    axes.set_ylabel("rise of the loss, nats a word")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("20 words were routed: the topic went with them", loc="left", fontweight="bold")
    save(figure, path)


def show(found: Found, names: list[str]) -> None:
    """Print the base's losses, and the rises of the others."""
    titles = (*COLUMNS.values(), "what remains")
    print(f"{'':18}" + "".join(f"{title:>22}" for title in titles))
    line = f"{'base (its loss)':18}"
    for column in COLUMNS:
        line += f"{summarise([seed['base'][column] for seed in found]).mean:22.2f}"
    print(line)
    for name in names:
        rise = rises(found, name)
        left = [part / whole for part, whole in zip(rise["others"], rise["all"], strict=True)]
        cells = [summarise(values).text(".2f") for values in rise.values()]
        cells.append(summarise(left).text(".0%"))
        print(f"{name:18}" + "".join(f"{cell:>22}" for cell in cells))
    print("What remains: the rise without the 20 words, of the rise over all words.")


def main() -> None:
    """Train with some seeds and print the table."""
    args = flags(__doc__, "keyword_unlearning.png").parse_args()
    # The topic needs more animals than there are keywords.
    if args.full:
        size = replace(FULL, forget_animals=400)
    else:
        size = replace(Size(steps=300), forget_animals=48)
    found = run(job, [(size, seed) for seed in range(args.seeds)], args.jobs)
    names = [name for name in found[0] if name != "base"]
    print(
        f"{args.seeds} seeds, mean (95% interval). Rise of the loss over the base's, nats a word:"
    )
    show(found, names)
    picture(found, names, args.out)
    print(f"Picture: {args.out}")


if __name__ == "__main__":
    main()
