"""Tensors found in what modules return, and the same thing with others in their place."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from routed_rl.routing.outputs import (
    OpaqueOutputError,
    Place,
    batch_axis,
    belongs,
    changed,
    keeps_batch_second,
    may_be_positions,
    packed_rows,
    tensors_in,
)


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Record:
    a: Any
    b: Any = None


def numbers(output: Any, only: int | str | None = None) -> tuple[Any, list[str]]:
    """Add 10 to each tensor; return the new output, and the paths in their order."""
    paths: list[str] = []

    def change(x: Tensor, place: Place) -> Tensor:
        paths.append(place.path)
        return x + 10

    return changed(output, change, only), paths


ONE, TWO = torch.tensor(1.0), torch.tensor(2.0)


@pytest.mark.parametrize(
    ("output", "expected", "paths"),
    [
        (ONE, torch.tensor(11.0), [""]),
        ((ONE, TWO), (11.0, 12.0), ["[0]", "[1]"]),
        ([ONE, "x", None, 3], [11.0, "x", None, 3], ["[0]"]),
        (Pair(ONE, (TWO, 5)), Pair(11.0, (12.0, 5)), [".a", ".b[0]"]),
        (Record(ONE, [TWO]), Record(11.0, [12.0]), [".a", ".b[0]"]),
        ({"y": ONE, 3: TWO}, {"y": 11.0, 3: 12.0}, ["['y']", "[3]"]),
        (torch.tensor(1 + 1j), 11 + 1j, [""]),
        ((torch.tensor(1), torch.tensor(True)), (1, True), []),
        ((), (), []),
    ],
)
def test_all_tensors_of_real_or_complex_numbers_are_changed(
    output: Any, expected: Any, paths: list[str]
) -> None:
    found, told = numbers(output)
    assert found == expected
    assert type(found) is type(output)
    assert told == paths
    assert len(list(tensors_in(output))) == len(paths)


def test_what_was_returned_is_left_as_it_was() -> None:
    output = collections.OrderedDict(y=ONE)
    record = Record(ONE)
    numbers(output)
    numbers(record)
    assert output["y"] is record.a is ONE


@pytest.mark.parametrize(
    ("output", "only", "expected", "paths"),
    [
        ((ONE, TWO), 1, (1.0, 12.0), ["[1]"]),
        (Pair(ONE, object()), "a", None, [".a"]),
        ({"y": (ONE, ONE), "z": TWO}, "y", {"y": (11.0, 11.0), "z": 2.0}, ["['y'][0]", "['y'][1]"]),
        (Record(ONE, object()), "a", None, [".a"]),
    ],
)
def test_one_of_several_alone_is_changed(
    output: Any, only: Any, expected: Any, paths: list[str]
) -> None:
    found, told = numbers(output, only)
    assert told == paths
    if expected is None:  # there is an object that nobody looks into
        assert (found.a, found.b) == (11, output.b)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ((ONE, TWO), "no 2: there is 0, 1"),
        ({"y": ONE}, "no 2: there is 'y'"),
        (ONE, "no 2: there is one thing alone"),
        (Record, "no 2: there is one thing alone"),
    ],
)
def test_what_there_is_not_is_told(output: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        numbers(output, 2)


@pytest.mark.parametrize(
    ("output", "path"),
    [(object(), "output,"), ((ONE, object()), r"output\[1\]"), (Record, "output,")],
)
def test_what_cannot_be_looked_into_is_told(output: Any, path: str) -> None:
    with pytest.raises(OpaqueOutputError, match=path):
        numbers(output)
    assert all(x is ONE for x in tensors_in(output)), "passed over here"


def test_packed_sequences_are_changed_in_their_data() -> None:
    packed = pack_sequence(
        [torch.tensor([1.0]), torch.tensor([2.0, 3.0, 4.0])], enforce_sorted=False
    )
    found, paths = numbers((packed, ONE))
    assert found[0].data.tolist() == [12, 11, 13, 14]
    assert paths == ["[0]", "[1]"]
    assert [x.tolist() for x in tensors_in(packed)] == [[2, 1, 3, 4]]
    places = []
    changed(packed, lambda x, place: places.append(place) or x)
    assert places == [Place("", packed)]
    assert packed_rows(packed, torch.tensor([5, 6])).tolist() == [6, 5, 6, 6]
    ordered = pack_sequence([torch.zeros(3), torch.zeros(1)])
    assert packed_rows(ordered, torch.tensor([5, 6])).tolist() == [5, 6, 5, 5]


@pytest.mark.parametrize(
    ("module", "path", "of_input", "axis"),
    [
        (nn.Linear(1, 1), "", False, 0),
        (nn.GRU(1, 1), "[0]", False, 1),
        (nn.GRU(1, 1), "", True, 1),
        (nn.GRU(1, 1, batch_first=True), "[0]", False, 0),
        (nn.GRU(1, 1, batch_first=True), "", True, 0),
        (nn.GRU(1, 1, batch_first=True), "[1]", False, 1),
        (nn.MultiheadAttention(2, 1), "[0]", False, 1),
        (nn.MultiheadAttention(2, 1), "[1]", False, 0),  # its weights
        (nn.MultiheadAttention(2, 1), "[1]", True, 1),
        (nn.MultiheadAttention(2, 1, batch_first=True), "[0]", False, 0),
        (nn.TransformerEncoderLayer(2, 1, 2), "", False, 1),
        (nn.TransformerEncoderLayer(2, 1, 2, batch_first=True), "", False, 0),
        (nn.TransformerDecoderLayer(2, 1, 2), "", False, 1),
        (nn.TransformerDecoderLayer(2, 1, 2, batch_first=True), "", False, 0),
    ],
)
def test_the_axis_of_samples_in_torchs_own_modules(
    module: nn.Module, path: str, *, of_input: bool, axis: int
) -> None:
    assert batch_axis(module, path, of_input=of_input) == axis
    if not of_input:
        assert batch_axis(module, path) == axis


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")  # of torch's own encoder
@pytest.mark.parametrize("first", [False, True])
def test_stacks_are_as_their_layers_are(first: bool) -> None:
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(2, 1, 2, batch_first=first), 2, enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(2, 1, 2, batch_first=first), 2)
    whole = nn.Transformer(2, 1, 1, 1, 2, batch_first=first)
    for stack in (encoder, decoder, whole):
        assert keeps_batch_second(stack) != first
        assert batch_axis(stack, "") == (0 if first else 1)
    assert not keeps_batch_second(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("path", "only", "is_in"),
    [
        ("[0]", 0, True),
        ("[0][1]", 0, True),
        ("[0].y", 0, True),
        ("[01]", 0, False),
        ("[1]", 0, False),
        (".y", "y", True),
        (".y[0]", "y", True),
        (".y.z", "y", True),
        (".yes", "y", False),
        ("['y']", "y", True),
        ("['y'][0]", "y", True),
        (".z.y", "y", False),
    ],
)
def test_which_paths_belong_to_an_output(path: str, only: int | str, is_in: bool) -> None:
    assert belongs(path, only) == is_in


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Embedding(5, 2), (3, 2), True),
        (nn.Embedding(5, 2), (3, 3, 2), True),
        (nn.Embedding(5, 2), (3, 4, 2), False),
        (nn.Linear(5, 2), (3, 2), False),
    ],
)
def test_rows_of_a_table_may_be_positions(
    module: nn.Module, shape: tuple[int, ...], expected: bool
) -> None:
    assert may_be_positions(module, torch.zeros(shape)) == expected
