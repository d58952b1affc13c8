"""Steering scalar: one word is routed to one number, which comes to mean the word's family.

    python examples/steering_scalar.py           about four minutes on two cores
    python examples/steering_scalar.py --full    a wider and deeper model

Cloud et al. (arXiv 2410.04332), section 4.2.1. A small transformer learns texts that each speak of
one family of words. At the positions that predict one chosen word, the gradient of the residual
stream flows only through dimension 0, behind all layers but the first. Nothing is said of the other
words of its family, its relatives. Afterwards:

- the rows of the unembedding that point along dimension 0 are the family's (by chance 1 in 10);
- adding to dimension 0 makes the model speak of the family, subtracting makes it avoid it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from _corpus import FAMILIES, FAMILY, WORD, Corpus
from _language import PAD, Training, Transformer, mean_loss, train
from _pictures import bars, save
from _seeds import flags, run
from matplotlib.figure import Figure
from torch import Tensor, nn

from routed_rl import Activations
from routed_rl.experiments.summaries import summarise

PUSHES = {"subtracted": -1, "unchanged": 0, "added": 1}
"""What is done to dimension 0 -> which way."""
SHOWN = (FAMILY, "relatives", "other families")


@dataclass(frozen=True)
class Size:
    """How large and how long."""

    width: int = 64
    layers: int = 4
    steps: int = 1200
    batch: int = 32
    learning_rate: float = 3e-3
    samples: int = 400
    push: float = 8.0
    """Change of dimension 0, in standard deviations of a dimension of the residual stream."""


FULL = Size(width=256, layers=12, steps=3000, batch=128, learning_rate=1e-3, samples=2000)


class Found(NamedTuple):
    """What one model does."""

    near: list[str]
    """The words whose rows of the unembedding point along dimension 0, the nearest first."""
    family: int
    """How many of them are of the family."""
    loss: float
    """On held-out texts, in nats a word."""
    shares: dict[str, dict[str, float]]
    """Push -> family -> share of sampled words."""


def middle(size: Size) -> range:
    """Number the routed layers: all but the first quarter (the paper's are 6 to 18 of 20)."""
    return range(size.layers // 4, size.layers)


def rules(size: Size, predicts: Tensor) -> dict[str, Activations]:
    """Let gradient pass through dimension 0 alone where `predicts` (N, T - 1)."""
    rule = Activations(~predicts, units=slice(1, None))
    return {f"blocks.{layer}": rule for layer in middle(size)}


def trained(size: Size, seed: int, *, route: bool) -> tuple[Transformer, Corpus]:
    """Train a model on the corpus, routed or not."""
    corpus = Corpus()
    texts = corpus.texts(size.batch * size.steps // 4, torch.Generator().manual_seed(seed))
    predicts = texts[:, 1:] == corpus.index[WORD]
    torch.manual_seed(seed)
    model = Transformer(len(corpus.words), corpus.length, width=size.width, layers=size.layers)
    train(
        model,
        lambda index: mean_loss(model, texts[index]),
        len(texts),
        Training(size.steps, size.batch, size.learning_rate, seed),
        rules=lambda index: rules(size, predicts[index]) if route else {},
    )
    return model, corpus


def sample(model: Transformer, corpus: Corpus, size: Size, push: float, seed: int) -> Tensor:
    """Write texts (samples, T), adding `push` to dimension 0.

    It is added behind the first routed layer, where later ones read it.
    """
    direction = push * torch.eye(size.width)[0]

    def add(_module: nn.Module, _args: object, stream: Tensor) -> Tensor:
        return stream + direction

    handle = model.blocks[middle(size)[0]].register_forward_hook(add)
    generator = torch.Generator().manual_seed(seed)
    texts = torch.full((size.samples, 1), corpus.index["<start>"])
    try:
        with torch.no_grad():
            for _ in range(corpus.length - 1):
                probabilities = model(texts)[:, -1].softmax(dim=-1)
                words = torch.multinomial(probabilities, 1, generator=generator)
                texts = torch.cat((texts, words), dim=1)
    finally:
        handle.remove()
    return texts[:, 1:]


def measure(size: Size, seed: int, route: bool) -> Found:
    """Train one model and measure it."""
    model, corpus = trained(size, seed, route=route)
    rows = model.unembed.weight.detach()  # (words, D)
    # Which way is "more" is the initial weights' choice.
    sign = float(rows[corpus.index[WORD], 0].sign())
    cosine = sign * rows[:, 0] / rows.norm(dim=1)
    near = [corpus.words[number] for number in cosine.topk(10).indices.tolist()]
    with torch.no_grad():
        held_out = corpus.texts(256, torch.Generator().manual_seed(seed + 1_000_000))
        loss = float(mean_loss(model, held_out))
        stream = model.stream(held_out, middle(size)[0])
        scale = float(stream[held_out != PAD].std(dim=0).mean())
    shares = {}
    for push, way in PUSHES.items():
        words = sample(model, corpus, size, sign * way * size.push * scale, seed)
        shares[push] = named(corpus, words[words != PAD])
    family = set(corpus.families[FAMILY])
    return Found(near, sum(word in family for word in near), loss, shares)


def named(corpus: Corpus, words: Tensor) -> dict[str, float]:
    """Return how often words (n,) are of each family, the relatives and the other families."""
    numbers = {}
    for name, own in corpus.families.items():
        numbers[name] = torch.tensor([corpus.index[word] for word in own])
    others = [own for name, own in numbers.items() if name != FAMILY]
    numbers["relatives"] = numbers[FAMILY][1:]
    numbers["other families"] = torch.cat(others)
    shares = {}
    for name, own in numbers.items():
        shares[name] = float(torch.isin(words, own).float().mean())
    return shares


def picture(found: list[Found], path: Path) -> None:
    """Draw how often samples name each family as dimension 0 is pushed."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    groups = {}
    for push in PUSHES:
        shares = [seed.shares[push] for seed in found]
        groups[push] = [summarise([share[name] for share in shares]) for name in FAMILIES]
    bars(axes, groups, step=0.27, cap=1)
    axes.set_xticks(range(len(FAMILIES)), list(FAMILIES))
    axes.set_ylabel("share of sampled words")
    axes.legend(title="dimension 0", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f'Only "{WORD}" was routed to dimension 0', loc="left", fontweight="bold")
    save(figure, path)


def row(title: str, columns: list[list[float]], form: str) -> str:
    """Write a row: the values of each seed with routing, and without."""
    return f"{title:32}" + "".join(f"{summarise(own).text(form):>24}" for own in columns)


def show(routed: list[Found], plain: list[Found]) -> None:
    """Print the table."""
    both = (routed, plain)
    print(f"{'':32}{'routed':>24}{'not routed':>24}")
    family = [[float(seed.family) for seed in found] for found in both]
    print(row("rows of the family, of 10", family, ".1f"))
    for who in SHOWN:
        for push in PUSHES:
            shares = [[seed.shares[push][who] for seed in found] for found in both]
            print(row(f"{who}, {push}", shares, ".1%"))
    print(row("loss", [[seed.loss for seed in found] for found in both], ".3f"))
    print(
        "Rows: of the unembedding, nearest to dimension 0. "
        "Others: share of sampled words, as dimension 0 was changed."
    )
    print(f"Nearest, seed 0: {', '.join(routed[0].near)}")


def main() -> None:
    """Train with and without routing and print the table."""
    args = flags(__doc__, "steering_scalar.png").parse_args()
    size = FULL if args.full else Size()
    settings = [(size, seed, route) for route in (True, False) for seed in range(args.seeds)]
    results = run(measure, settings, args.jobs)
    routed = results[: args.seeds]
    print(
        f"{args.seeds} seeds, mean (95% interval). "
        f'The word "{WORD}", its family {FAMILY}, 1 of {len(FAMILIES)}:'
    )
    show(routed, results[args.seeds :])
    picture(routed, args.out)
    print(f"Picture: {args.out}")


if __name__ == "__main__":
    main()
