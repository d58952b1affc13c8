"""Two halves of a code: what trains them, the digits, and the command."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from examples import split_autoencoder
from examples._digits import digits


@pytest.mark.parametrize(("low", "trained"), [(True, [1, 1, 0, 0]), (False, [0, 0, 1, 1])])
def test_digits_train_only_their_half_of_the_code(low: bool, trained: list[int]) -> None:
    size = split_autoencoder.Size(widths=(8,), code=4, steps=1, batch=60, weight_decay=0.0)
    setting = replace(split_autoencoder.ROUTED, sparsity=0.0, correlation=0.0)
    torch.manual_seed(1)
    images = torch.rand(60, 16)
    torch.manual_seed(0)
    start = split_autoencoder.network(16, 8, 4)[-1].weight
    which = torch.full((60,), low)
    encoder, _ = split_autoencoder.train(images, which, setting, size, seed=0)
    changed = (encoder[-1].weight != start).any(dim=1)  # type: ignore[index]
    assert changed.long().tolist() == trained


def test_the_correlation_of_halves_by_hand() -> None:
    a = torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    b = torch.tensor([[2.0], [4.0], [6.0]])
    mean_of_one_and_none = torch.tensor(0.5)
    assert torch.allclose(split_autoencoder.correlation(a, b), mean_of_one_and_none, atol=1e-5)


def test_mnist_files_are_read(tmp_path: Path) -> None:
    header = struct.pack(">4I", 2051, 2, 2, 2)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + bytes([0, 51, 102, 255] * 2))
    header = struct.pack(">2I", 2049, 2)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(header + bytes([7, 3]))
    images, labels = digits(tmp_path)
    assert torch.allclose(images, torch.tensor([[0.0, 0.2, 0.4, 1.0]] * 2))
    assert labels.tolist() == [7, 3]


@pytest.mark.extras
def test_scikit_learns_digits_are_read() -> None:
    images, labels = digits(None)
    assert images.shape == (1797, 64)
    assert images.min() == 0
    assert images.max() == 1
    assert labels.unique().tolist() == list(range(10))


def test_without_scikit_learn_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="pip install scikit-learn"):
        digits(None)


def test_one_command_ends_with_a_table_and_a_picture(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = split_autoencoder.Size(widths=(8,), code=4, steps=2, certificate_steps=2)
    monkeypatch.setattr(split_autoencoder, "Size", lambda: tiny)
    noise = (torch.rand(200, 64), torch.arange(200) % 10)
    monkeypatch.setattr(split_autoencoder, "digits", lambda _path: noise)
    table = command(split_autoencoder)
    for setting in split_autoencoder.SETTINGS:
        assert setting.name in table
