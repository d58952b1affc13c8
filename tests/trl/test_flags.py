"""What a detector may answer, and how it reaches a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from routed_rl.trl.flags import FLAGS, FlagCollator, as_flags, check_column

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]


def test_bools_stay_bools_and_numbers_are_how_sure() -> None:
    assert torch.equal(as_flags([True, False], 2, "f"), torch.tensor([True, False]))
    assert as_flags([True, 0.25], 2, "f").tolist() == [1.0, 0.25]
    assert as_flags(torch.tensor([True, False]), 2, "f").dtype == torch.bool


@pytest.mark.parametrize("answers", [[True], [0.5, 1.5], [0.5, float("nan")], ["yes", True], None])
def test_other_answers_are_refused(answers: Any) -> None:
    with pytest.raises(ValueError, match="detector returned"):
        as_flags(answers, 2, "detector")


def test_a_misspelt_column_is_told() -> None:
    with pytest.raises(ValueError, match="Did you mean 'flagged'"):
        check_column("flaged", ["prompt", "flagged"])


def padded(examples: list[dict[str, Any]]) -> dict[str, Any]:
    length = max(len(e["input_ids"]) for e in examples)
    assert all("bad" not in e for e in examples)
    return {"input_ids": torch.zeros(len(examples), length)}


def test_flags_of_examples_and_of_tokens() -> None:
    collate = FlagCollator(padded, "bad")
    one = [{"input_ids": [5, 6, 7], "bad": True}, {"input_ids": [5, 6], "bad": False}]
    assert collate(one)[FLAGS].tolist() == [True, False]
    each = [{"input_ids": [5, 6, 7], "bad": [0, 0, 1]}, {"input_ids": [5, 6], "bad": [1, 1]}]
    # the position before a token predicts it
    assert collate(each)[FLAGS].tolist() == [[False, True, False], [True, False, False]]
    with pytest.raises(ValueError, match="for 3 tokens"):
        collate([{"input_ids": [5, 6, 7], "bad": [1]}, {"input_ids": [5, 6], "bad": [1, 1]}])
    with pytest.raises(ValueError, match="None"):
        collate([{"input_ids": [5]}])
