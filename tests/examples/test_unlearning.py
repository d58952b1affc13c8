"""Unlearning with some labels: what each method trains, and the command."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch

from examples import unlearning
from examples._stories import Data
from examples._storyteller import Size

TINY = Size(
    width=8, units=4, animals=3, stories=60, held_out=12, steps=2, batch=8, few=4, relearn_steps=5
)


def test_what_is_unlabelled_trains_all_methods_alike_until_a_story_is_labelled() -> None:
    data = Data(TINY, seed=0)
    nobody = torch.zeros(TINY.stories, dtype=torch.bool)
    base = unlearning.base(data, nobody).state_dict()
    filtering = unlearning.filtering(data, nobody).state_dict()
    for name, value in base.items():
        assert torch.equal(value, filtering[name]), name


def test_labelled_stories_do_not_train_the_expert_that_demix_keeps() -> None:
    data = Data(TINY, seed=0)
    everyone = torch.ones(TINY.stories, dtype=torch.bool)
    kept = unlearning.demix(data, everyone).state_dict()
    start = data.model().state_dict()
    for name, value in start.items():
        assert torch.equal(value, kept[name]) == (".mlp." in name), name


def test_one_command_ends_with_a_table_and_a_picture(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlearning, "Size", lambda: TINY)
    table = command(unlearning, "--fractions", "0.5")
    for name in unlearning.METHODS:
        assert name in table


@pytest.mark.parametrize(
    "flags", [["--seeds", "0"], ["--seeds", "x"], ["--fractions", "1.5"], ["--fractions", "half"]]
)
def test_a_wrong_flag_is_named_in_one_line(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unlearning.py", *flags])
    with pytest.raises(SystemExit):
        unlearning.main()
    assert repr(flags[1]) in capsys.readouterr().err.splitlines()[-1]
