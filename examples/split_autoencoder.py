"""Split autoencoder: two halves of a code learn different digits, because gradients are routed to them.

    python examples/split_autoencoder.py                 scikit-learn's 8x8 digits, a few minutes on two cores
    python examples/split_autoencoder.py --data mnist --path DIR --full        the paper's size, on MNIST's own files

Cloud et al. (arXiv 2410.04332), section 4.1. An encoder's code has two halves. Digits 0-4 send their gradient only
through half A, digits 5-9 only through half B; the decoder sees both. A "certificate" is a new decoder, trained on one
half of the finished code with everything else fixed: what it cannot reconstruct, that half does not hold.

A certificate's score is what it recovers: (error of the mean image - its error) / (error of the mean image - error of
the full decoder), on held-out images; 100% is as good as the whole code.
"""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples._seeds import flags, run, save
from routed_rl.routing import route
from routed_rl.tables import summarise


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


SETTINGS = [
    routed := Setting("routed"),
    replace(routed, name="routed, no correlation term", correlation=0.0),
    replace(routed, name="routed, no regularisation", correlation=0.0, sparsity=0.0),
    replace(routed, name="routed one way (0-4 to A)", route_high=False),
    unrouted := replace(routed, name="not routed", route_low=False, route_high=False),
    replace(unrouted, name="not routed, no regularisation", correlation=0.0, sparsity=0.0),
    replace(unrouted, name="not routed, trained on 0-4", only_low=True),
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


def digits(path: Path | None) -> tuple[Tensor, Tensor]:
    """Load images (N, D) between 0 and 1 and their digits (N,): 8x8 ones, or MNIST's IDX files in a folder."""
    if path is None:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            sys.exit(
                "error: the 8x8 digits are scikit-learn's: pip install scikit-learn, or give --data mnist --path DIR."
            )
        images, labels = load_digits(return_X_y=True)
        return torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)
    found = []
    for kind, header in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8)):
        file = next(path.glob(f"train*{kind.replace('-idx', '?idx')}"), None)
        if file is None:
            sys.exit(f"error: {path} has no train-{kind}: put MNIST's unpacked IDX files there.")
        raw = file.read_bytes()
        count = struct.unpack(">I", raw[4:8])[0]
        found.append(torch.from_numpy(np.frombuffer(raw, np.uint8, offset=header).copy()).view(count, -1))
    return found[0].float() / 255.0, found[1].squeeze(1).long()


def network(*widths: int) -> nn.Sequential:
    """Build linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Take the mean absolute correlation, over a batch, of each unit of a (N, F) with each of b (N, F)."""
    a, b = ((x - x.mean(dim=0)) / (x.std(dim=0, correction=0) + 1e-6) for x in (a, b))
    return (a.T @ b / len(a)).abs().mean()


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


def train(x: Tensor, low: Tensor, setting: Setting, size: Size, seed: int) -> tuple[nn.Module, nn.Module]:
    """Train an encoder and a decoder; `low` (N,) says which images show 0-4."""
    torch.manual_seed(seed)
    encoder = network(x.shape[1], *size.widths, size.code)
    decoder = network(size.code, *reversed(size.widths), x.shape[1])
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, size.learning_rate, weight_decay=size.weight_decay)
    everyone = torch.ones_like(low)
    for index in batches(len(x), size, size.steps, seed):
        a, b = encoder(x[index]).chunk(2, dim=1)
        to_a = low[index] if setting.route_high else everyone[index]  # digits 5-9 must not train A
        to_b = ~low[index] if setting.route_low else everyone[index]
        rebuilt = decoder(torch.cat((route(a, to_a), route(b, to_b)), dim=1))
        loss = (rebuilt - x[index]).abs().mean()
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
    optimizer = torch.optim.Adam(decoder.parameters(), size.learning_rate, weight_decay=size.weight_decay)
    for index in batches(len(x), size, size.certificate_steps, seed):
        loss = (decoder(code[index]) - x[index]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return decoder


def scores(images: Tensor, labels: Tensor, setting: Setting, size: Size, seed: int) -> tuple[dict[str, float], Tensor]:
    """Train a row and its certificates; return what each half recovers of each kind of digit, and some pictures."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    train_part, test_part = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
    fit = train_part[labels[train_part] <= 4] if setting.only_low else train_part
    encoder, decoder = train(images[fit], labels[fit] <= 4, setting, size, seed)
    x, test, low = images[train_part], images[test_part], labels[test_part] <= 4
    with torch.no_grad():
        code, test_code = encoder(x), encoder(test)
        rebuilt = {"full": decoder(test_code)}
    half = code.shape[1] // 2
    if setting.only_low:
        full = certificate(code, x, size, seed)
        rebuilt["full"] = full(test_code).detach()
    for name, part in (("A", slice(0, half)), ("B", slice(half, None))):
        rebuilt[name] = certificate(code[:, part], x, size, seed)(test_code[:, part]).detach()
    blank = (test - x.mean(dim=0)).abs().mean(dim=1)
    error = {name: (test - picture).abs().mean(dim=1) for name, picture in rebuilt.items()}
    table = {}
    for kind, rows in (("0-4", low), ("5-9", ~low)):
        for name in ("A", "B"):
            gained = blank[rows].mean() - error[name][rows].mean()
            table[f"{name} {kind}"] = float(gained / (blank[rows].mean() - error["full"][rows].mean()))
        table[f"error {kind}"] = float(error["full"][rows].mean())
    shown = torch.cat([(labels[test_part] == digit).nonzero()[0] for digit in range(10)])
    return table, torch.stack([test[shown], *(rebuilt[name][shown] for name in ("full", "A", "B"))])


def picture(rows: Tensor, path: Path) -> None:
    """Draw digits, their reconstruction, and what each half's certificate makes of them: rows (4, 10, D)."""
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
    figure.suptitle("Digits 0-4 were routed to half A, 5-9 to half B", x=0.01, ha="left", fontweight="bold")
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
    settings = [(images, labels, setting, size, seed) for setting in SETTINGS for seed in range(args.seeds)]
    results = run(scores, settings, args.jobs)
    picture(results[0][1], args.out)
    print(f"{len(images)} images, {args.seeds} seeds. What each half recovers, mean (95% interval):")
    columns = ("A 0-4", "A 5-9", "B 0-4", "B 5-9")
    print(f"{'':32}" + "".join(f"{column:>20}" for column in columns))
    for number, setting in enumerate(SETTINGS):
        found = [table for table, _ in results[number * args.seeds : (number + 1) * args.seeds]]
        cells = [summarise([table[column] for table in found]).text(".0%") for column in columns]
        print(f"{setting.name:32}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"Pictures: {args.out}")


if __name__ == "__main__":
    main()
