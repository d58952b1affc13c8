"""Arrays in a page: packed one after another, compressed, and written as text."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 6
"""Of gzip: higher ones take twice the time for a hundredth less."""


def pack(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Pack arrays for a page.

    Returns:
        "arrays", the type, shape and first byte of each, and "bytes", all of them in base64. Each
        begins at a multiple of 8 bytes, as a browser wants it.
    """
    described: dict[str, dict[str, Any]] = {}
    data = bytearray()
    for name, array in arrays.items():
        data += bytes(-len(data) % 8)
        little = array.astype(array.dtype.newbyteorder("<"))
        described[name] = {"type": array.dtype.name, "shape": array.shape, "at": len(data)}
        data += little.tobytes()
    # No time stamp: the same arrays give the same page.
    packed = gzip.compress(bytes(data), LEVEL, mtime=0)
    return {"arrays": described, "bytes": base64.b64encode(packed).decode()}


def rounded(values: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int16], float]:
    """Write numbers as 16 bits each; return them and what one unit of them is."""
    unit = max(float(np.abs(values).max(initial=0.0)), 1e-9) / 32767
    return np.rint(values / unit).astype(np.int16), unit
