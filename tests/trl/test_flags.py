"""What a detector may answer, and how it reaches a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from routed_rl.trl.flags import FLAGS, FlagCollator, as_flags, check_column

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]


def test_bools_stay_bools_and_numbers_are_how_sure() -> None:
    assert torch.equal(as_flags([True, False], 2, "f"), torch.tensor([True, False]))
    assert as_flags([True, 0.25], 2, "f").tolist() == [1.0, 0.25]
    assert as_flags([0, 1], 2, "f").dtype == torch.float32, "numbers, if certain ones"
    assert as_flags((0, 1), 2, "f").tolist() == [0.0, 1.0]
    assert as_flags([], 0, "f").dtype == torch.bool
    assert as_flags(torch.tensor([True, False]), 2, "f").dtype == torch.bool
    for scores in (np.array([0.75, 0.25]), torch.tensor([0.75, 0.25])):
        assert as_flags([s > 0.5 for s in scores], 2, "f").dtype == torch.bool
        assert as_flags(list(scores), 2, "f").tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    "answers",
    [
        *([True], [True] * 3, [0.5, 1.5], [-0.1, 0.5], [0.5, float("nan")], ["yes", True], None),
        *("ab", {0: True, 1: False}, [[0.5], [0.5]], 0.5),
    ],
)
def test_other_answers_are_refused(answers: Any) -> None:
    with pytest.raises(ValueError, match="detector gave"):
        as_flags(answers, 2, "detector")


def test_how_many_answers_there_are_is_told_or_what_there_is_instead() -> None:
    with pytest.raises(ValueError, match="detector gave 1 for 2 completions"):
        as_flags([True], 2, "detector")
    with pytest.raises(ValueError, match="detector gave None for 2 completions"):
        as_flags(None, 2, "detector")


def test_a_misspelt_column_is_told() -> None:
    good, bad = [{"prompt": "a", "flagged": True}], [{"prompt": "a"}]
    check_column("flagged", {"one": good, "two": good})
    check_column("flagged", None)
    with pytest.raises(ValueError, match="Did you mean 'flagged'"):
        check_column("flaged", good)
    with pytest.raises(ValueError, match=r"no column 'flagged' with flags. There are: prompt\."):
        check_column("flagged", {"one": good, "two": bad})


def padded(examples: list[dict[str, Any]]) -> dict[str, Any]:
    length = max(len(e["input_ids"]) for e in examples)
    assert all("bad" not in e for e in examples)
    return {"input_ids": torch.zeros(len(examples), length)}


def test_flags_of_examples_and_of_tokens() -> None:
    collate = FlagCollator(padded, "bad")
    one = [{"input_ids": [5, 6, 7], "bad": True}, {"input_ids": [5, 6], "bad": False}]
    assert collate(one)[FLAGS].tolist() == [True, False]
    each = [{"input_ids": [5, 6, 7], "bad": [0, 0, 1]}, {"input_ids": [5, 6], "bad": [1, 1]}]
    assert collate(each)[FLAGS].dtype == torch.bool
    # the position before a token predicts it
    assert collate(each)[FLAGS].tolist() == [[False, True, False], [True, False, False]]
    with pytest.raises(ValueError, match="for 3 tokens"):
        collate([{"input_ids": [5, 6, 7], "bad": [1]}, {"input_ids": [5, 6], "bad": [1, 1]}])
    with pytest.raises(ValueError, match="None"):
        collate([{"input_ids": [5], "bad": None}])
    assert FLAGS not in collate([{"input_ids": [5]}])  # an evaluation's


def test_flags_of_tokens_are_cut_as_their_text_was() -> None:
    flags = [1, 1, 0, 0, 1, 0]
    texts = {"start": slice(4), "end": slice(-4, None)}
    rows = {
        kept: FlagCollator(padded, "bad", texts[kept])([{"input_ids": [5] * 4, "bad": flags}])
        for kept in texts
    }
    assert rows["start"][FLAGS].tolist() == [[True, False, False, False]]  # of 1, 1, 0, 0
    assert rows["end"][FLAGS].tolist() == [[False, True, False, False]]  # of 0, 0, 1, 0
    whole = [{"input_ids": [5] * 3, "bad": [0, 1, 1]}]
    assert FlagCollator(padded, "bad", slice(2))(whole)[FLAGS].tolist() == [[True, True, False]]
    with pytest.raises(ValueError, match="has 6 flags for 3 tokens"):  # nothing was cut of this
        FlagCollator(padded, "bad", slice(4))([{"input_ids": [5] * 3, "bad": flags}])


def test_what_is_no_flag_is_told() -> None:
    collate = FlagCollator(padded, "bad")
    with pytest.raises(ValueError, match="column 'bad' gave 'yes'"):
        collate([{"input_ids": [5, 6, 7], "bad": "yes"}])
    with pytest.raises(ValueError, match="column 'bad' gave 'yes'"):
        collate.flags_of({"bad": "yes"})
    with pytest.raises(ValueError, match="flags of tokens are for SFT"):
        collate.flags_of({"prompt_ids": [5], "bad": [True]})
    with pytest.raises(ValueError, match="lists for some examples and none for others"):
        collate([{"input_ids": [5], "bad": [1]}, {"input_ids": [5], "bad": True}])


def test_a_part_of_the_flags_is_no_flags() -> None:
    with pytest.raises(ValueError, match="column 'bad' gave None"):
        FlagCollator(padded, "bad")([{"input_ids": [5], "bad": True}, {"input_ids": [5]}])


def test_how_sure_a_flag_of_a_token_is_stays_and_all_else_of_an_example_too() -> None:
    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        assert examples == [{"input_ids": [5, 6], "x": 1}, {"input_ids": [5, 6, 7, 8], "x": 2}]
        return {"input_ids": torch.zeros(2, 4)}

    rows = [
        {"input_ids": [5, 6], "x": 1, "bad": np.array([0.5, 0.25])},
        {"input_ids": [5, 6, 7, 8], "x": 2, "bad": [1.0, 0.0, 0.75, 1.0]},
    ]
    flags = FlagCollator(collate, "bad")(rows)[FLAGS]
    assert flags.dtype == torch.float32
    assert flags.tolist() == [[0.25, 0, 0, 0], [0, 0.75, 1, 0]]
    assert FlagCollator(collate, "bad").flags_of(rows[0]) == [0.5, 0.25]
    assert FlagCollator(collate, "bad").flags_of({"bad": np.float64(0.5)}) == 0.5


def test_a_column_of_nothing_is_told_in_an_empty_dataset_too() -> None:
    with pytest.raises(ValueError, match="no column 'flagged' with flags"):
        check_column("flagged", [])
