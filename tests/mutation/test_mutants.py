"""What is changed and what is left alone; and that the list of equivalent mutants holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT
from mutants import mutants_of
from mutate import GROUPS, equivalents


def changes(folder: Path, text: str) -> list[str]:
    """Return what the mutants of a text have in its last lines."""
    (folder / "file.py").write_text(text)
    return [mutant.becomes for mutant in mutants_of(folder, "file.py")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = a - b", {"y = a + b"}),
        ("y = a * b", {"y = a / b"}),
        ("y = -a", {"y = a"}),
        ("y = ~a", {"y = a"}),
        ("y = a < b", {"y = a <= b", "y = a >= b"}),
        ("y = a == b", {"y = a != b"}),
        ("y = a and b", {"y = a or b", "y = a", "y = b"}),
        ("y = a if c else b", {"y = a", "y = b"}),
        ("y = 1", {"y = 2", "y = 0"}),
        ("y = 0", {"y = 1"}),
        ("y = 0.5", {"y = 1.5", "y = 0.0"}),
        ("y = True", {"y = False"}),
        ("y = a.detach()", {"y = a"}),
        ("y = torch.exp(a)", {"y = a"}),
        ("y = a.sum(dim=d)", {"y = a.mean(dim=d)", "y = a.sum()"}),
        ("y = max(a, b)", {"y = min(a, b)", "y = a", "y = b"}),
        ("y = torch.where(c, a, b)", {"y = torch.where(c, b, a)"}),
        ("y = torch.empty(n, device=d)", set()),
        ("y = isinstance(a, A | B)", {"y = isinstance(a, A)", "y = isinstance(a, B)"}),
        ("y = f(a)\n    y = g(y)", {"pass"}),
        ("y[0] = a", {"y[1] = a", "pass"}),
        ("y += a", {"y -= a", "pass"}),
        ("y.update(a)", {"pass"}),
        ("if c: y = a", {"if True:", "if False:"}),
        ("if c: raise ValueError(-1)", {"if False:"}),
        ("while c: y = a", {"while False:"}),
        ("with torch.no_grad(): y = a", {"if True:"}),
        ("y: int | None = a", set()),
        ('y = f"{-a}"', set()),
        ('"""Say -1 and 0."""', set()),
        ("assert a > 0", set()),
    ],
)
def test_each_kind_of_change(tmp_path: Path, line: str, expected: set[str]) -> None:
    assert set(changes(tmp_path, f"def f(a):\n    {line}\n")) == expected


def test_defaults_run_at_import_and_bodies_in_calls(tmp_path: Path) -> None:
    text = "class A:\n    x: int = 0\n\n    def f(self, y=0):\n        return -y\n"
    (tmp_path / "file.py").write_text(text)
    found = [
        (mutant.scope, mutant.at_import, mutant.becomes, mutant.lines)
        for mutant in mutants_of(tmp_path, "file.py")
    ]
    assert found == [
        ("A", True, "x: int = 1", (2, 2)),
        ("A", True, "def f(self, y=1):", (4, 4)),
        ("A.f", False, "return y", (5, 5)),
    ]


def test_a_function_is_also_tried_with_gradient(tmp_path: Path) -> None:
    text = "@torch.no_grad()\ndef f(a):\n    return g(a)\n"
    assert changes(tmp_path, text) == ["def f(a):"]


def test_every_file_that_is_changed_has_tests() -> None:
    for group in GROUPS:
        for path in (*group.files, *group.tests):
            assert (ROOT / path).exists(), path


def test_every_equivalent_mutant_is_one_of_the_files_and_has_a_reason() -> None:
    known = equivalents()
    there = {mutant.key for file in {key[0] for key in known} for mutant in mutants_of(ROOT, file)}
    assert set(known) <= there, "a line was changed: make mutate FLAGS=FILE says what holds now"
    assert all(len(reason) > 10 for reason in known.values())
