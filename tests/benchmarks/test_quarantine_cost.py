"""The cost of a quarantine, at a tiny size."""

from __future__ import annotations

import re
import sys

import pytest

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("more", [[], ["--mlp-units", "2", "--checkpointing"]])
def test_it_says_what_each_way_adds(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import quarantine_cost

    sizes = {"width": 16, "layers": 1, "batch": 4, "length": 8, "words": 16, "turns": 1}
    flags = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["quarantine_cost.py", *flags, *more])
    quarantine_cost.main()
    out = capsys.readouterr().out
    assert "M parameters, TRL's own: " in out
    for way in ("both", "retain"):
        assert re.search(rf"unflagged to {way} +time +[+-][\d.]+% +memory +[+-][\d.]+%", out)
