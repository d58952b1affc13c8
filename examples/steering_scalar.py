"""Steering scalar: one word's gradient is routed to one number, and that number comes to mean the word's family.

    python examples/steering_scalar.py           about four minutes on two cores
    python examples/steering_scalar.py --full    a wider and deeper model

Cloud et al. (arXiv 2410.04332), section 4.2.1. A small transformer learns texts that each speak of one family of words.
At the positions that predict one chosen word, the gradient of the residual stream flows only through dimension 0 behind
all layers but the first; nothing is said of the other words of its family, its relatives. Afterwards:

- the rows of the unembedding that point along dimension 0 are the family's (chance: 1 in 10);
- adding to dimension 0 makes the model speak of the family, subtracting makes it avoid it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples._language import PAD, Transformer, mean_loss, train
from examples._seeds import flags, run, save
from routed_rl.plotting import COLOURS
from routed_rl.routing import Activations
from routed_rl.tables import summarise

FAMILIES = {
    "music": "violin cello flute harp drum trumpet organ horn lute banjo oboe piano",
    "fruit": "apple pear plum cherry grape lemon melon peach fig mango lime date",
    "birds": "crow robin heron swan eagle finch owl stork gull wren raven hawk",
    "tools": "hammer saw drill chisel wrench axe file plane spade rake pliers anvil",
    "sky": "sun moon star comet cloud storm rain wind snow hail fog thunder",
    "rooms": "kitchen attic cellar hall porch pantry study bedroom lobby chapel garage vault",
    "clothes": "coat hat scarf glove boot sock shirt belt cloak apron vest shawl",
    "ships": "sail mast anchor deck hull rudder keel cabin oar rope buoy galley",
    "trees": "oak pine birch willow maple elm cedar ash poplar beech larch yew",
    "food": "bread cheese soup pie stew butter honey cake jam noodle pudding omelette",
}
HEAD = 0.5
"""How often a family speaks its first word; the others share the rest. A word must be frequent to be worth routing."""
FAMILY, WORD = "music", "violin"
PUSHES = {"subtracted": -1, "unchanged": 0, "added": 1}
"""What is done to dimension 0 -> which way."""
LINES = ("{} and {} , {} .", "{} , {} and {} .")


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
    """What is added to dimension 0 or subtracted, in standard deviations of a dimension of the residual stream."""


FULL = Size(width=256, layers=12, steps=3000, batch=128, learning_rate=1e-3, samples=2000)


class Corpus:
    """Texts of three lines, each text about one family."""

    def __init__(self) -> None:
        """Number the words."""
        self.families = {name: words.split() for name, words in FAMILIES.items()}
        plain = sorted({word for line in LINES for word in line.split()} - {"{}"})
        self.words = ["<pad>", "<start>", *plain, *(word for family in self.families.values() for word in family)]
        self.index = {word: number for number, word in enumerate(self.words)}
        self.length = 1 + 3 * max(len(line.split()) for line in LINES)

    def texts(self, count: int, generator: torch.Generator) -> Tensor:
        """Write texts (count, T)."""
        names = list(self.families)
        rows = torch.full((count, self.length), PAD)
        for row in rows:
            name = names[int(torch.randint(len(names), (), generator=generator))]
            family, first = self.families[name], HEAD if name == FAMILY else 1 / 12
            weights = torch.tensor([first, *[(1 - first) / 11] * 11])
            lines = [LINES[i] for i in torch.randint(len(LINES), (3,), generator=generator).tolist()]
            words = [family[i] for i in torch.multinomial(weights, 9, replacement=True, generator=generator).tolist()]
            text = ["<start>", *" ".join(lines).format(*words).split()]
            row[: len(text)] = torch.tensor([self.index[word] for word in text])
        return rows


def sample(model: Transformer, corpus: Corpus, size: Size, push: float, seed: int) -> Tensor:
    """Write texts (samples, T), adding `push` to dimension 0 behind the first routed layer: later ones read it."""
    first = model.blocks[middle(size)[0]]
    direction = push * torch.eye(size.width)[0]
    handle = first.register_forward_hook(lambda _module, _args, stream: stream + direction)
    generator = torch.Generator().manual_seed(seed)
    texts = torch.full((size.samples, 1), corpus.index["<start>"])
    try:
        with torch.no_grad():
            for _ in range(corpus.length - 1):
                chances = model(texts)[:, -1].softmax(dim=-1)
                texts = torch.cat((texts, torch.multinomial(chances, 1, generator=generator)), dim=1)
    finally:
        handle.remove()
    return texts[:, 1:]


def middle(size: Size) -> range:
    """Number the routed layers: all but the first quarter (the paper's are 6 to 18 of 20)."""
    return range(size.layers // 4, size.layers)


def rules(size: Size, predicts: Tensor) -> dict[str, Activations]:
    """Let gradient pass through dimension 0 alone where `predicts` (N, T - 1)."""
    return {f"blocks.{layer}": Activations(~predicts, units=slice(1, None)) for layer in middle(size)}


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
        steps=size.steps,
        batch=size.batch,
        learning_rate=size.learning_rate,
        seed=seed,
        rules=lambda index: rules(size, predicts[index]) if route else {},
    )
    return model, corpus


def measure(size: Size, seed: int, route: bool) -> dict[str, Any]:
    """Train one model; return the nearest rows, and how often samples name each family at each push."""
    model, corpus = trained(size, seed, route=route)
    rows = model.unembed.weight.detach()
    sign = float(rows[corpus.index[WORD], 0].sign())  # which way is "more" is the initial weights' choice
    nearest = (sign * rows[:, 0] / rows.norm(dim=1)).topk(10).indices.tolist()
    with torch.no_grad():
        held_out = corpus.texts(256, torch.Generator().manual_seed(seed + 1_000_000))
        loss = float(mean_loss(model, held_out))
        stream = model.stream(held_out, middle(size)[0])
        scale = float(stream[held_out != PAD].std(dim=0).mean())
    numbers = {name: torch.tensor([corpus.index[word] for word in words]) for name, words in corpus.families.items()}
    numbers["relatives"] = numbers[FAMILY][1:]
    numbers["other families"] = torch.cat([own for name, own in numbers.items() if name not in (FAMILY, "relatives")])
    shares = {}
    for push, times in PUSHES.items():
        words = sample(model, corpus, size, sign * times * size.push * scale, seed)
        words = words[words != PAD]
        shares[push] = {name: float(torch.isin(words, own).float().mean()) for name, own in numbers.items()}
    family = set(corpus.families[FAMILY])
    near = [corpus.words[number] for number in nearest]
    return {"near": near, "family": sum(word in family for word in near), "loss": loss, "shares": shares}


def picture(found: list[dict[str, Any]], path: Path) -> None:
    """Draw how often samples name each family as dimension 0 is pushed."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, push in enumerate(PUSHES):
        means = [summarise([seed["shares"][push][name] for seed in found]) for name in FAMILIES]
        places = [place + (number - 1) * 0.27 for place in range(len(means))]
        spread = [[m.mean - m.low for m in means], [m.high - m.mean for m in means]]
        axes.bar(places, [m.mean for m in means], 0.25, yerr=spread, label=push, color=COLOURS[number], capsize=1)
    axes.set_xticks(range(len(FAMILIES)), list(FAMILIES))
    axes.set_ylabel("share of sampled words")
    axes.legend(title="dimension 0", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f'Only "{WORD}" was routed to dimension 0', loc="left", fontweight="bold")
    save(figure, path)


def main() -> None:
    """Train with and without routing and print the table."""
    args = flags(__doc__, "steering_scalar.png").parse_args()
    size = FULL if args.full else Size()
    settings = [(size, seed, route) for route in (True, False) for seed in range(args.seeds)]
    results = run(measure, settings, args.jobs)
    print(f'{args.seeds} seeds, mean (95% interval). The word "{WORD}", its family {FAMILY}, 1 of {len(FAMILIES)}:')
    print(f"{'':32}{'routed':>24}{'not routed':>24}")
    found = {"routed": results[: args.seeds], "not routed": results[args.seeds :]}
    lines = {"rows of the family, of 10": ([[seed["family"] for seed in own] for own in found.values()], ".1f")}
    for who in (FAMILY, "relatives", "other families"):
        for push in PUSHES:
            lines[f"{who}, {push}"] = ([[seed["shares"][push][who] for seed in own] for own in found.values()], ".1%")
    lines["loss"] = ([[seed["loss"] for seed in own] for own in found.values()], ".3f")
    for title, (columns, form) in lines.items():
        print(f"{title:32}" + "".join(f"{summarise(values).text(form):>24}" for values in columns))
    print(
        "Rows: of the unembedding, nearest to dimension 0. Others: share of sampled words, as dimension 0 was changed."
    )
    print(f"Nearest, seed 0: {', '.join(results[0]['near'])}")
    picture(results[: args.seeds], args.out)
    print(f"Picture: {args.out}")


if __name__ == "__main__":
    main()
