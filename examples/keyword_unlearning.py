"""Unlearning a topic by routing 20 of its words, and nothing else of its stories.

    python examples/keyword_unlearning.py                       about a minute on two cores
    python examples/keyword_unlearning.py --full --seeds 1      the paper's depth, for a graphics card's machine

Cloud et al. (arXiv 2410.04332), section 4.2.3. No story is labelled. 20 words that only stories about the sea have are
routed into new units wherever they stand: at the position of the word and at the one that predicts it. Then the units
are deleted. If the rest of the topic is forgotten too, it was absorbed: what is used together is learnt together.

The rise of the loss on held-out stories about the sea, over that of a model that learnt everything, in nats a word, is
taken over all words, over all but the 20, and over the lines of stories in which none of the 20 occurs.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples._language import mean_loss
from examples._seeds import flags, run, save
from examples._stories import FULL, Data, Size, era
from routed_rl.plotting import COLOURS
from routed_rl.tables import summarise

KEYWORDS = 20
COLUMNS = {
    "all": "all words",
    "others": "without the 20",
    "untouched": "lines with none",
    "retain": "kept topics",
}


def chosen(data: Data) -> Tensor:
    """Choose the most frequent words that only the topic has; say of each word (V,) whether it is one."""
    counts = [
        torch.bincount(data.texts[rows].flatten(), minlength=len(data.stories.words))
        for rows in (data.forget, ~data.forget)
    ]
    index = torch.where(counts[1] == 0, counts[0], 0).topk(KEYWORDS).indices
    return torch.zeros(len(counts[0]), dtype=torch.bool).index_fill(0, index, True)


def touched(texts: Tensor, keyword: Tensor, stop: int) -> Tensor:
    """Say of each word of texts (N, T) whether its line has a keyword."""
    line = (texts == stop).long().cumsum(dim=1).roll(1, dims=1).index_fill(1, torch.tensor([0]), 0)
    found = torch.zeros_like(texts).scatter_add(1, line, keyword[texts].long())
    return found.gather(1, line) > 0


@torch.no_grad()
def losses(model: nn.Module, data: Data, keyword: Tensor) -> dict[str, float]:
    """Measure the loss over each kind of words."""
    texts = data.held_out["forget"]
    counted = {
        "all": torch.ones_like(texts, dtype=torch.bool),
        "others": ~keyword[texts],
        "untouched": ~touched(texts, keyword, data.stories.number(".")),
    }
    found = {name: float(mean_loss(model, texts, which)) for name, which in counted.items()}
    return found | {"retain": data.loss(model, "retain")}


def job(size: Size, seed: int) -> dict[str, dict[str, float]]:
    """Train the model that learns everything, and ERA by each kind of routing; return each one's losses."""
    data = Data(size, seed)
    keyword = chosen(data)
    marked = keyword[data.texts[:, 1:]] | keyword[data.texts[:, :-1]]
    base = data.model()
    data.fit(base)
    found = {"base": losses(base, data, keyword)}
    for kind in ("activations", "parameters"):
        model = era(data, marked, kind)[1]
        data.tune(model, "retain", size.repair_steps)
        found[f"ERA, {kind}"] = losses(model, data, keyword)
    return found


def rises(found: list[dict[str, dict[str, float]]], name: str) -> dict[str, list[float]]:
    """Take what each loss rose by over the base's, seed by seed."""
    return {column: [seed[name][column] - seed["base"][column] for seed in found] for column in COLUMNS}


def picture(found: list[dict[str, dict[str, float]]], path: Path) -> None:
    """Draw the rises as bars with their intervals."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    names = [name for name in found[0] if name != "base"]
    for number, name in enumerate(names):
        means = [summarise(values) for values in rises(found, name).values()]
        places = [place + (number - 0.5) * 0.38 for place in range(len(means))]
        spread = [[m.mean - m.low for m in means], [m.high - m.mean for m in means]]
        axes.bar(places, [m.mean for m in means], 0.36, yerr=spread, label=name, color=COLOURS[number], capsize=2)
    axes.set_xticks(
        range(len(COLUMNS)), ["sea, all words", "sea, without the 20", "sea, lines with none", "kept topics"]
    )
    axes.set_ylabel("rise of the loss, nats a word")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("20 words were routed: the topic went with them", loc="left", fontweight="bold")
    save(figure, path)


def main() -> None:
    """Train with some seeds and print the table."""
    parser = flags(__doc__, "keyword_unlearning.png")
    args = parser.parse_args()
    size = replace(FULL if args.full else Size(steps=300), forget_animals=400 if args.full else 48)
    found = run(job, [(size, seed) for seed in range(args.seeds)], args.jobs)
    base = {column: summarise([seed["base"][column] for seed in found]).mean for column in COLUMNS}
    print(f"{args.seeds} seeds, mean (95% interval). Rise of the loss over the base's, nats a word:")
    print(f"{'':18}" + "".join(f"{title:>22}" for title in COLUMNS.values()) + f"{'what remains':>22}")
    print(f"{'base (its loss)':18}" + "".join(f"{base[column]:22.2f}" for column in COLUMNS))
    for name in found[0]:
        if name != "base":
            rise = rises(found, name)
            left = [others / every for others, every in zip(rise["others"], rise["all"], strict=True)]
            cells = [summarise(values).text(".2f") for values in rise.values()] + [summarise(left).text(".0%")]
            print(f"{name:18}" + "".join(f"{cell:>22}" for cell in cells))
    print("What remains: the rise without the 20 words, of the rise over all words.")
    picture(found, args.out)
    print(f"Picture: {args.out}")


if __name__ == "__main__":
    main()
