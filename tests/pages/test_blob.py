"""What is packed for a page can be unpacked, at the places it names."""

from __future__ import annotations

import base64
import gzip

import numpy as np
import pytest

from routed_rl.pages import blob


def test_arrays_lie_where_it_says() -> None:
    arrays = {"a": np.array([1, 2, 3], dtype=np.uint8), "b": np.array([[0.5, -2.0]], np.float32)}
    packed = blob.pack(arrays)
    data = gzip.decompress(base64.b64decode(packed["bytes"]))
    assert packed["arrays"]["a"] == {"type": "uint8", "shape": (3,), "at": 0}
    assert packed["arrays"]["b"] == {"type": "float32", "shape": (1, 2), "at": 8}  # not at 3
    assert data[:3] == b"\x01\x02\x03"
    assert np.frombuffer(data[8:], "<f4").tolist() == [0.5, -2.0]
    assert blob.pack(arrays) == packed  # the same arrays, the same page


@pytest.mark.parametrize("most", [0.0, 1e-3, 30.0])
def test_rounding_is_off_by_half_a_unit_at_most(most: float) -> None:
    values = np.linspace(-most, most, 1001)
    whole, unit = blob.rounded(values)
    assert whole.dtype == np.int16
    assert unit == pytest.approx(max(most, 1e-9) / 32767)
    assert np.abs(whole * unit - values).max() <= unit / 2 + 1e-15
