from __future__ import annotations

from pathlib import Path

import pytest

from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import load_module, run_module


def test_a_file_is_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "counted.py"
    path.write_text(
        "from dataclasses import dataclass\n\n@dataclass\nclass Config:\n    x: int = 3\n"
    )
    module = load_module(str(path))
    assert module.Config() == module.Config(x=3)
    assert load_module(str(path)) is module


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    modules = []
    for number in (1, 2):
        path = tmp_path / str(number) / "mine.py"
        path.parent.mkdir()
        path.write_text(f"NUMBER = {number}\n")
        modules.append(load_module(str(path)))
    assert [module.NUMBER for module in modules] == [1, 2]


def test_a_dotted_name_is_imported() -> None:
    assert load_module("routed_rl.utils.errors").UserError is UserError


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("import nowhere_at_all\n", r"ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def (", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_file_that_fails_is_told_in_one_line_and_tried_anew(
    tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        load_module(str(path))
    assert "broken.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_text("MENDED = True\n")
    assert load_module(str(path)).MENDED


def test_a_missing_file_and_a_missing_module_are_told(tmp_path: Path) -> None:
    for where in (str(tmp_path / "missing.py"), "nowhere_at_all.world"):
        with pytest.raises(UserError, match="cannot import plugin"):
            load_module(where)


def test_what_was_told_already_passes_as_it_is() -> None:
    told = UserError("mend this.")

    def run() -> None:
        raise told

    with pytest.raises(UserError) as caught:
        run_module(run, "x")  # type: ignore[arg-type]
    assert caught.value is told
