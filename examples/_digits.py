"""Images of digits: scikit-learn's 8x8 ones, or MNIST's own files."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def digits(path: Path | None) -> tuple[Tensor, Tensor]:
    """Load images and their digits.

    Args:
        path: a folder with MNIST's unpacked IDX files; the 8x8 digits unless given.

    Returns:
        Images (N, D) between 0 and 1, digits (N,) int64.
    """
    if path is None:
        return _small()
    images = _idx(path, "images-idx3-ubyte", header=16)
    labels = _idx(path, "labels-idx1-ubyte", header=8)
    return images.float() / 255.0, labels.squeeze(1).long()


def _small() -> tuple[Tensor, Tensor]:
    """Load scikit-learn's digits, of 8x8 numbers from 0 to 16."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit(
            "error: the 8x8 digits are scikit-learn's: "
            "pip install scikit-learn, or give --data mnist --path DIR."
        )
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)


def _idx(folder: Path, kind: str, header: int) -> Tensor:
    """Read one of MNIST's IDX files: (N, bytes of each item) uint8."""
    # Some mirrors write a dot where the original has a dash.
    file = next(folder.glob(f"train*{kind.replace('-idx', '?idx')}"), None)
    if file is None:
        sys.exit(f"error: {folder} has no train-{kind}: put MNIST's unpacked IDX files there.")
    raw = file.read_bytes()
    (count,) = struct.unpack(">I", raw[4:8])
    numbers = np.frombuffer(raw, np.uint8, offset=header).copy()
    return torch.from_numpy(numbers).view(count, -1)
