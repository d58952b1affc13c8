"""Layers as people build and call them, each from (N, T, D) to (N, T, D), for models at random."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

WIDTH = 4
TEXT = 5
WORDS = 6


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclass
class Record:
    hidden: Tensor
    note: str = ""
    score: Tensor | None = None


@dataclass(frozen=True)
class Frozen:
    hidden: Tensor


class Layer(nn.Module):
    """A layer and how it is called."""

    def __init__(self, inner: nn.Module, call: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.inner = inner
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.inner, x)


class Returns(nn.Module):
    """A linear layer that returns something around its output, and twice its output."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        y = self.inner(x)
        return self.wrap(y, 2 * y)


class Functional(nn.Module):
    """Parameters of its own, used by functions, and a child whose forward is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(WIDTH) + 0.5)
        self.never_called = nn.Linear(WIDTH, WIDTH)
        self.called = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.called(x) * self.scale
        return functional.linear(x, self.never_called.weight, self.never_called.bias)


class Tied(nn.Module):
    """A table that is looked up, and used again as a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        logits = functional.linear(x, self.table.weight)
        return x + self.table(logits.argmax(dim=-1)) + logits.softmax(dim=-1) @ self.table.weight


class TiedModules(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())


class Positions(nn.Module):
    """A table of positions, whose rows are no samples."""

    def __init__(self, ids: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.table = nn.Embedding(8, WIDTH)
        self.ids = ids

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(self.ids(x))


class Cells(nn.Module):
    """A cell that runs over time, its state in a tuple or not."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        steps = []
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
            steps.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(steps, dim=1)


class Recomputed(nn.Module):
    """A part that the backward pass computes again."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=False)  # type: ignore[no-any-return]


def _by_state(inner: nn.Module, x: Tensor) -> Tensor:
    """Read a recurrent layer by the state it ends with."""
    _, state = inner(x)
    return x + (state[0] if isinstance(state, tuple) else state)[-1].unsqueeze(1)


def _packed(inner: nn.Module, x: Tensor) -> Tensor:
    lengths = TEXT - (x[:, 0, 0] > 0).long() - (x[:, 0, 1] > 0).long()
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(inner(packed)[0], batch_first=True, total_length=TEXT)
    return x + y


def _attention(inner: nn.Module, x: Tensor) -> Tensor:
    y, weights = inner(query=x, key=x, value=x)
    return y + weights @ x


def _in_place(inner: nn.Module, x: Tensor) -> Tensor:
    y = inner(x)
    y += x
    y.mul_(2)
    return functional.relu(y, inplace=True)


def _seen_through_hooks(inner: nn.Module) -> nn.Module:
    """Give a layer hooks of somebody else's: before, behind, and in the backward pass."""
    inner.register_forward_pre_hook(lambda _module, args: (1.5 * args[0],))
    inner.register_forward_hook(lambda _module, _args, output: output * 0.5)
    inner.register_full_backward_hook(lambda _module, before, _behind: before)
    return inner


def _images(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(x.unsqueeze(1)).mean(dim=1)


def _channels(inner: nn.Module, x: Tensor) -> Tensor:
    return inner(x.transpose(1, 2)).transpose(1, 2)


def _sequence_first(inner: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    y = inner(x.transpose(0, 1))
    return (y[0] if isinstance(y, tuple) else y).transpose(0, 1)


def _words(inner: nn.Module, x: Tensor) -> Tensor:
    return x + inner(x.argmax(dim=-1))


def _encoder(*, batch_first: bool) -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, 2, 6, dropout=0.0, batch_first=batch_first)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: Layer(nn.Linear(WIDTH, WIDTH), lambda m, x: m(x)),
    "linear by keyword": lambda: Layer(nn.Linear(WIDTH, WIDTH), lambda m, x: m(input=x)),
    "linear twice": lambda: Layer(nn.Linear(WIDTH, WIDTH), lambda m, x: m(m(x).sin())),
    "linear, tokens as rows": lambda: Layer(
        nn.Linear(WIDTH, WIDTH), lambda m, x: m(x.flatten(0, 1)).view_as(x)
    ),
    "layer norm": lambda: Layer(nn.LayerNorm(WIDTH), lambda m, x: m(x)),
    "layer norm by keyword": lambda: Layer(nn.LayerNorm(WIDTH), lambda m, x: m(input=x)),
    "rms norm": lambda: Layer(nn.RMSNorm(WIDTH), lambda m, x: m(x)),
    "group norm": lambda: Layer(nn.GroupNorm(2, WIDTH), _channels),
    "batch norm": lambda: Layer(nn.BatchNorm1d(WIDTH).eval(), _channels),
    "embedding": lambda: Layer(nn.Embedding(WORDS, WIDTH, padding_idx=0), _words),
    "convolution": lambda: Layer(nn.Conv1d(WIDTH, WIDTH, 3, padding=1), _channels),
    "convolution, same": lambda: Layer(nn.Conv1d(WIDTH, WIDTH, 3, padding="same"), _channels),
    "convolution of images": lambda: Layer(nn.Conv2d(1, 3, 3, padding=1), _images),
    "transposed": lambda: Layer(nn.ConvTranspose1d(WIDTH, WIDTH, 3, padding=1), _channels),
    "bilinear": lambda: Layer(nn.Bilinear(WIDTH, WIDTH, WIDTH), lambda m, x: m(x, x.sin())),
    "prelu": lambda: Layer(nn.PReLU(WIDTH), _channels),
    "attention": lambda: Layer(nn.MultiheadAttention(WIDTH, 2, batch_first=True), _attention),
    "attention, batch second": lambda: Layer(
        nn.MultiheadAttention(WIDTH, 2), lambda m, x: _sequence_first(lambda y: m(y, y, y), x)
    ),
    "encoder": lambda: Layer(_encoder(batch_first=True), lambda m, x: m(src=x)),
    "encoder, batch second": lambda: Layer(_encoder(batch_first=False), _sequence_first),
    "lstm": lambda: Layer(nn.LSTM(WIDTH, WIDTH, batch_first=True), lambda m, x: m(x)[0]),
    "lstm, batch second": lambda: Layer(nn.LSTM(WIDTH, WIDTH), _sequence_first),
    "lstm by its state": lambda: Layer(nn.LSTM(WIDTH, WIDTH, 2, batch_first=True), _by_state),
    "gru by its state": lambda: Layer(nn.GRU(WIDTH, WIDTH, batch_first=True), _by_state),
    "rnn, packed": lambda: Layer(nn.RNN(WIDTH, WIDTH, batch_first=True), _packed),
    "lstm cell": lambda: Cells(nn.LSTMCell(WIDTH, WIDTH)),
    "gru cell": lambda: Cells(nn.GRUCell(WIDTH, WIDTH)),
    "tuple": lambda: Layer(Returns(lambda y, z: (y, z)), lambda m, x: sum(m(x))),
    "list": lambda: Layer(Returns(lambda y, z: [y, [z]]), lambda m, x: m(x)[1][0]),
    "named tuple": lambda: Layer(Returns(Pair), lambda m, x: m(x).second),
    "dict": lambda: Layer(Returns(lambda y, z: {"y": y, "n": 3, "z": z}), lambda m, x: m(x)["z"]),
    "dataclass": lambda: Layer(
        Returns(lambda y, z: Record(y, "as it is", z)), lambda m, x: m(x).hidden + m(x).score
    ),
    "frozen": lambda: Layer(Returns(lambda y, _z: Frozen(y)), lambda m, x: m(x).hidden),
    "in place": lambda: Layer(nn.Linear(WIDTH, WIDTH), _in_place),
    "in place behind tanh": lambda: Layer(
        nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()), lambda m, x: m(x).clone().mul_(3)
    ),
    "hooks": lambda: Layer(_seen_through_hooks(nn.Linear(WIDTH, WIDTH)), lambda m, x: m(x)),
    "weight norm": lambda: Layer(
        parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH)), lambda m, x: m(x)
    ),
    "functional": Functional,
    "tied": Tied,
    "tied modules": TiedModules,
    "positions": lambda: Positions(lambda x: torch.arange(x.shape[1])),
    "positions of one row": lambda: Positions(lambda x: torch.arange(x.shape[1])[None]),
    "recomputed": Recomputed,
}
"""What it is -> how to make one."""


def model_of(names: list[str], *, seed: int) -> nn.Sequential:
    """Make a model of layers, in float64."""
    torch.manual_seed(seed)
    layers = [LAYERS[name]() for name in names]
    return nn.Sequential(*layers).double()


def alone(model: nn.Module) -> nn.Module:
    """Return a model of the same numbers, to be run plainly."""
    return copy.deepcopy(model)
