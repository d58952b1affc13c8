"""Split autoencoder: two halves of a code learn different digits, as gradients are routed to them.

    python examples/split_autoencoder.py                      8x8 digits, a few minutes on two cores
    python examples/split_autoencoder.py --data mnist --path DIR --full        the paper's size

Cloud et al. (arXiv 2410.04332), section 4.1. An encoder's code has two halves. Digits 0-4 send
their gradient only through half A, digits 5-9 only through half B; the decoder sees both. The
digits are scikit-learn's, or those of MNIST's own files in a folder.

A "certificate" is a new decoder, trained on one half of the finished code with everything else
fixed. What it cannot reconstruct, that half does not hold. Its score is what it recovers, in errors
on held-out images: (mean image's - its own) / (mean image's - full decoder's). 100% is as good as
the whole code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from _digits import digits
from _pictures import save
from _seeds import flags, run
from matplotlib.figure import Figure
from torch import Tensor, nn

from routed_rl import route
from routed_rl.experiments.summaries import summarise

COLUMNS = ("A 0-4", "A 5-9", "B 0-4", "B 5-9")
"""Half, and kind of digits."""


@dataclass(frozen=True)
class Setting:
    """A row of the table."""

    name: str
    route_low: bool = True
    """Digits 0-4 train only half A."""
    route_high: bool = True
    """Digits 5-9 train only half B."""
    sparsity: float = 3e-3
    """Coefficient of the code's mean absolute value."""
    correlation: float = 0.1
    """Coefficient of the mean absolute correlation between the halves."""
    only_low: bool = False
    """Train on digits 0-4 alone."""


ROUTED = Setting("routed")
UNROUTED = Setting("not routed", route_low=False, route_high=False)
SETTINGS = [
    ROUTED,
    replace(ROUTED, name="routed, no correlation term", correlation=0.0),
    replace(ROUTED, name="routed, no regularisation", correlation=0.0, sparsity=0.0),
    replace(ROUTED, name="routed one way (0-4 to A)", route_high=False),
    UNROUTED,
    replace(UNROUTED, name="not routed, no regularisation", correlation=0.0, sparsity=0.0),
    replace(UNROUTED, name="not routed, trained on 0-4", only_low=True),
]


@dataclass(frozen=True)
class Size:
    """How large and how long."""

    widths: tuple[int, ...] = (256, 128)
    code: int = 16
    steps: int = 1500
    certificate_steps: int = 400
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 5e-5


FULL = Size(widths=(2048, 512), code=32, steps=200 * 30, certificate_steps=200 * 30, batch=2048)


def network(*widths: int) -> nn.Sequential:
    """Build linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Take the mean absolute correlation, over a batch, of units of a (N, F) with those of b."""
    return (standardised(a).T @ standardised(b) / len(a)).abs().mean()


def standardised(x: Tensor) -> Tensor:
    """Give each unit of x (N, F) the mean 0 and the deviation 1."""
    return (x - x.mean(dim=0)) / (x.std(dim=0, correction=0) + 1e-6)


def batches(count: int, size: Size, steps: int, seed: int) -> Iterator[Tensor]:
    """Yield indices of shuffled batches."""
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < steps:
        for index in torch.randperm(count, generator=generator).split(size.batch):
            yield index
            done += 1
            if done == steps:
                return


def train(
    x: Tensor, low: Tensor, setting: Setting, size: Size, seed: int
) -> tuple[nn.Module, nn.Module]:
    """Train an encoder and a decoder; `low` (N,) says which images x (N, D) show 0-4."""
    torch.manual_seed(seed)
    encoder = network(x.shape[1], *size.widths, size.code)
    decoder = network(size.code, *reversed(size.widths), x.shape[1])
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, size.learning_rate, weight_decay=size.weight_decay)
    everyone = torch.ones_like(low)
    # If high digits are routed they must not train A, and low ones not B if those are.
    trains_a = low if setting.route_high else everyone
    trains_b = ~low if setting.route_low else everyone
    for index in batches(len(x), size, size.steps, seed):
        a, b = encoder(x[index]).chunk(2, dim=1)
        code = torch.cat((route(a, trains_a[index]), route(b, trains_b[index])), dim=1)
        loss = (decoder(code) - x[index]).abs().mean()
        # The penalties are not routed: they hold for all images and both halves.
        loss = loss + setting.sparsity * torch.cat((a, b), dim=1).abs().sum(dim=1).mean()
        loss = loss + setting.correlation * correlation(a, b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, decoder


def certificate(code: Tensor, x: Tensor, size: Size, seed: int) -> nn.Module:
    """Train a new decoder on a code that is fixed."""
    torch.manual_seed(seed)
    decoder = network(code.shape[1], *reversed(size.widths), x.shape[1])
    optimizer = torch.optim.Adam(
        decoder.parameters(), size.learning_rate, weight_decay=size.weight_decay
    )
    for index in batches(len(x), size, size.certificate_steps, seed):
        loss = (decoder(code[index]) - x[index]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return decoder


class Split(NamedTuple):
    """Images to train on, and to test with."""

    x: Tensor  # (N, D)
    low: Tensor  # (N,) bool, the digit is at most 4
    test: Tensor  # (M, D)
    test_label: Tensor  # (M,)

    @classmethod
    def of(cls, images: Tensor, labels: Tensor, seed: int) -> Split:
        """Take four fifths of the images to train on."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        train_part = order[: len(order) * 4 // 5]
        test_part = order[len(order) * 4 // 5 :]
        low = labels[train_part] <= 4
        return cls(images[train_part], low, images[test_part], labels[test_part])


def reconstruct(split: Split, setting: Setting, size: Size, seed: int) -> dict[str, Tensor]:
    """Train a row and its certificates; return what each makes of the test images (M, D)."""
    fit = split.low if setting.only_low else torch.ones_like(split.low)
    encoder, decoder = train(split.x[fit], split.low[fit], setting, size, seed)
    with torch.no_grad():
        code = encoder(split.x)
        test_code = encoder(split.test)
    if setting.only_low:
        # Its decoder has seen no high digit: the whole code too is judged by a certificate.
        decoder = certificate(code, split.x, size, seed)
    rebuilt = {"full": decoder(test_code).detach()}
    half = code.shape[1] // 2
    for name, units in (("A", slice(0, half)), ("B", slice(half, None))):
        own = certificate(code[:, units], split.x, size, seed)
        rebuilt[name] = own(test_code[:, units]).detach()
    return rebuilt


def scores(
    images: Tensor, labels: Tensor, setting: Setting, size: Size, seed: int
) -> tuple[dict[str, float], Tensor]:
    """Train a row and its certificates.

    Returns:
        What each half recovers of each kind of digit; some images and what was made of them (4, 10,
        D).
    """
    split = Split.of(images, labels, seed)
    rebuilt = reconstruct(split, setting, size, seed)
    blank = (split.test - split.x.mean(dim=0)).abs().mean(dim=1)  # (M,) error of the mean image
    error = {name: (split.test - own).abs().mean(dim=1) for name, own in rebuilt.items()}
    test_low = split.test_label <= 4
    table = {}
    for kind, rows in (("0-4", test_low), ("5-9", ~test_low)):
        worst = blank[rows].mean()
        full = error["full"][rows].mean()
        for name in ("A", "B"):
            gained = worst - error[name][rows].mean()
            table[f"{name} {kind}"] = float(gained / (worst - full))
        table[f"error {kind}"] = float(full)
    firsts = [(split.test_label == digit).nonzero()[0] for digit in range(10)]
    shown = torch.cat(firsts)
    rows = [split.test[shown], *(rebuilt[name][shown] for name in ("full", "A", "B"))]
    return table, torch.stack(rows)


def picture(rows: Tensor, path: Path) -> None:
    """Draw digits, their reconstruction, and what each half's certificate makes of them.

    Args:
        rows: (4, 10, D).
        path: where to.
    """
    side = int(rows.shape[2] ** 0.5)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    all_axes = figure.subplots(4, 10)
    titles = ("image", "whole code", "half A", "half B")
    for axes, row, title in zip(all_axes, rows, titles, strict=True):
        for ax, image in zip(axes, row, strict=True):
            ax.imshow(image.view(side, side).numpy(), cmap="gray_r", vmin=0, vmax=1)
            ax.set_xticks([])
            ax.set_yticks([])
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center")
    heading = "Digits 0-4 were routed to half A, 5-9 to half B"
    figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
    save(figure, path)


def main() -> None:
    """Train every row with some seeds and print the table."""
    parser = flags(__doc__, "split_autoencoder.png")
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
    parser.add_argument("--path", type=Path, help="folder with MNIST's IDX files")
    args = parser.parse_args()
    if args.data == "mnist" and args.path is None:
        parser.error("--data mnist needs --path, the folder with MNIST's IDX files")
    images, labels = digits(args.path if args.data == "mnist" else None)
    size = FULL if args.full else Size()
    settings = []
    for setting in SETTINGS:
        settings += [(images, labels, setting, size, seed) for seed in range(args.seeds)]
    results = run(scores, settings, args.jobs)
    _, drawn = results[0]
    picture(drawn, args.out)
    print(
        f"{len(images)} images, {args.seeds} seeds. What each half recovers, mean (95% interval):"
    )
    print(f"{'':32}" + "".join(f"{column:>20}" for column in COLUMNS))
    for number, setting in enumerate(SETTINGS):
        of_setting = results[number * args.seeds : (number + 1) * args.seeds]
        found = [table for table, _ in of_setting]
        cells = [summarise([table[column] for table in found]).text(".0%") for column in COLUMNS]
        print(f"{setting.name:32}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"Pictures: {args.out}")


if __name__ == "__main__":
    main()
