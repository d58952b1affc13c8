from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import absolute, load_module, run_module, short_name


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


def test_a_file_has_its_whole_path_and_a_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rooms").mkdir()
    monkeypatch.chdir(tmp_path / "rooms")
    assert absolute("four.py") == f"{tmp_path}/rooms/four.py"
    assert absolute("../four.py:Env") == f"{tmp_path}/four.py:Env"
    assert absolute(f"{tmp_path}/four.py") == f"{tmp_path}/four.py"
    for name in ("gridworld", "FrozenLake-v1", "ALE/Pong-v5", "package.module:Id-v0"):
        assert absolute(name) == name
    (tmp_path / "rooms" / "link.py").symlink_to(tmp_path / "four.py")
    assert absolute("link.py") == f"{tmp_path}/rooms/link.py", "it may be known by its own name"


def test_a_file_is_called_by_its_stem_and_by_folders_if_need_be() -> None:
    assert short_name("/my/rooms/four.py") == "four"
    assert short_name("rooms/four.py:Env") == "four:Env"
    assert short_name("/my/rooms/four.py:Env", 1) == "rooms/four:Env"
    assert short_name("/my/rooms/four.py", 2) == "my/rooms/four"
    for name in ("gridworld", "four:Env", "ALE/Pong-v5", "package.module:Id-v0"):
        assert short_name(name, 1) == name


def test_a_file_finds_its_neighbours_now_and_later(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_now.py").write_text("NUMBER = 3\n")
    (tmp_path / "neighbour_of_later.py").write_text("NUMBER = 4\n")
    (tmp_path / "mine.py").write_text(
        "from neighbour_of_now import NUMBER\n"
        "def later():\n"
        "    from neighbour_of_later import NUMBER\n"
        "    return NUMBER\n"
    )
    module = load_module(str(tmp_path / "mine.py"))
    assert (module.NUMBER, module.later()) == (3, 4)


def test_what_lies_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_here.py").write_text("from package_of_here.part import NUMBER\n")
    (tmp_path / "package_of_here").mkdir()
    (tmp_path / "package_of_here" / "part.py").write_text("NUMBER = 5\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine.py").write_text("from module_of_here import NUMBER\n")
    monkeypatch.chdir(tmp_path)
    assert load_module("module_of_here").NUMBER == 5
    assert load_module("files/mine.py").NUMBER == 5


def test_neighbours_hide_nothing_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "routed_rl").mkdir()
    for path in ("yaml.py", "tabnanny.py", "routed_rl/__init__.py"):
        (tmp_path / path).write_text("raise ImportError('the wrong one')\n")
    (tmp_path / "mine.py").write_text(
        "import tabnanny  # of the standard library, and imported by nobody else\n"
        "import routed_rl.utils.imports\n"
        "import yaml\n"
    )
    assert load_module(str(tmp_path / "mine.py")).yaml is yaml


@pytest.mark.parametrize("line", ["raise SystemExit(3)", "import sys; sys.exit('bye')"])
def test_a_file_that_ends_the_program_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.py").write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"cannot import plugin .*mine\.py \(SystemExit: "):
        load_module(str(tmp_path / "mine.py"))


def test_a_file_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("#" * 1_000_000)
    load_module(str(path))
    path = tmp_path / "yours.py"
    path.write_text("#" * 1_000_001)
    with pytest.raises(UserError, match=r"yours\.py has over 1,000,000 bytes: give a file"):
        load_module(str(path))
