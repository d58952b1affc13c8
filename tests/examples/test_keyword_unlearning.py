"""Unlearning by 20 words: which they are, which lines they touch, and the command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from examples import keyword_unlearning
from examples._stories import Data
from examples._storyteller import Size

TINY = Size(
    width=8, units=4, animals=3, forget_animals=24, stories=60, held_out=12, steps=2, batch=8, few=4
)


def test_keywords_are_in_stories_of_the_topic_alone() -> None:
    many = Size(width=8, animals=3, forget_animals=24, stories=500, held_out=12, few=4)
    data = Data(many, seed=0)
    keyword = keyword_unlearning.chosen(data)
    assert keyword.sum() == keyword_unlearning.KEYWORDS
    assert not keyword[data.texts[~data.forget]].any()


def test_a_keyword_touches_its_line_only() -> None:
    stop = 9
    texts = torch.tensor([[1, 2, stop, 3, 5, stop, 4, stop]])
    lines = keyword_unlearning.touched(texts, torch.arange(10) == 5, stop)
    assert lines.long().tolist() == [[0, 0, 0, 1, 1, 1, 0, 0]]


def test_one_command_ends_with_a_table_and_a_picture(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyword_unlearning, "Size", lambda **_: TINY)
    table = command(keyword_unlearning)
    assert "ERA, activations" in table
    assert "what remains" in table
