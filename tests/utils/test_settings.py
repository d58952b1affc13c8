from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from helpers import LAUGHS

from routed_rl.utils import settings
from routed_rl.utils.errors import UserError


@dataclass(frozen=True)
class World:
    """A world."""

    oversight: float = 0.1
    """How much is seen."""
    walls: tuple[tuple[int, int], ...] = ()
    """Where one cannot go."""
    names: tuple[str, ...] = ("a", "b")
    """What there is."""

    def __post_init__(self) -> None:
        if self.oversight > 1:
            raise ValueError(f"oversight is {self.oversight}: give a probability.")


@dataclass(frozen=True)
class Everything:
    """All settings."""

    steps: int = 5
    """How many."""
    gate: bool = True
    """Whether."""
    mode: Literal["x", "y"] = "x"
    """Which."""
    world: World = field(default_factory=World)


def parse(*flags: str) -> Everything:
    return settings.parse(Everything, flags, prog="test", description="")


def test_flags_and_yaml_give_the_same_and_the_later_wins(tmp_path: Path) -> None:
    given = Everything(7, False, "y", World(0.25, ((1, 2), (3, 3)), ("c",)))
    settings.write_yaml(tmp_path / "s.yaml", settings.to_plain(given))
    flags = settings.to_flags(settings.read_yaml(tmp_path / "s.yaml"))
    assert parse(*flags) == given
    assert parse(*flags, "--world.oversight", "0.5", "--gate").world.oversight == 0.5
    assert parse(*flags, "--gate").gate is True


def test_an_empty_list_and_a_nested_switch_survive() -> None:
    flags = settings.to_flags({"world": {"walls": [], "names": ["x", "y"]}})
    assert parse(*flags).world == World(names=("x", "y"))
    assert settings.to_flags({"agent": {"use_gate": False}}) == ["--agent.no-use-gate"]
    assert settings.to_flags({"gate": False, "steps": None}) == ["--no-gate"]


def test_flat_settings_have_dots_in_their_names() -> None:
    nested = {"steps": 5, "world": {"walls": [], "deep": {"x": None}}}
    assert settings.flatten(nested) == {"steps": 5, "world.walls": [], "world.deep.x": None}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stepps", "3"], "no flag '--stepps'. Did you mean '--steps'"),
        (["--world.oversigt", "3"], "no flag '--world.oversigt'. Did you mean '--world.oversight'"),
        (["--steps", "many"], "^--steps: 'many' is no whole number"),
        (["--world.oversight", "1.5"], "oversight is 1.5: give a probability"),
        (["--mode", "z"], "'z'.*'--mode'"),
        (["--steps", "2.5"], "'2.5' is no whole number"),
        (["--gate", "False"], "takes no value: write --gate, or --no-gate to switch it off"),
        (["--no-gate", "no"], "takes no value: write --gate, or --no-gate to switch it off"),
        (["3"], "'3' stands before all flags"),
        (["--steps", "3", "4"], "--steps was given '4' too, which is one value too many"),
        (["--steps", "1", "1"], "^--steps was given '1' too"),
        (
            ["--gate", "--steps", "1", "0", "--world.oversight", "0"],
            "^--steps or --world.oversight",
        ),
        (["--steps", "0", "--gate", "0"], "^--gate was given '0', and a switch takes no value"),
        (["--no-gate", "why"], "^--gate was given 'why', and a switch takes no value"),
        (["--steps"], "--steps"),
    ],
)
def test_what_is_wrong_is_one_line(flags: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse(*flags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("1_000", 1000), ("1e3", 1000), ("2.0e+3", 2000), ("-7", -7), ("5.0", 5)],
)
def test_whole_numbers_are_read_as_people_write_them(text: str, number: int) -> None:
    assert settings.whole_number(text) == number
    assert parse("--steps", text).steps == number


@pytest.mark.parametrize("text", ["2.5", "1e-3", "nan", "inf", "1e400", "1e999999999", "", "0x10"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no whole number"):
        settings.whole_number(text)


@pytest.mark.parametrize("content", ["just text", "a: [1", "", "\x00"])
def test_a_file_without_settings_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"s\.yaml") as caught:
        settings.read_yaml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot read"):
        settings.read_yaml(tmp_path / "none.yaml")


def test_a_mapping_of_kwargs_is_written_as_words() -> None:
    kwargs = {"is_slippery": False, "desc": ["SF", "HG"], "reward": {"goal": 1e-5}, "none": None}
    kwargs |= {"word": "false", "text": "a, b: c\n" + "long " * 40}
    for plain in (
        {"env": {"kwargs": kwargs}},
        {"env.kwargs": kwargs},
        {"env": {"kwargs": [kwargs]}},
        {"kwargs": kwargs},
    ):
        flag, *words = settings.to_flags(plain)
        assert flag in ("--env.kwargs", "--kwargs")
        assert words[:4] == [
            "is_slippery=false",
            "desc=[SF, HG]",
            "reward={goal: 1.0e-05}",
            "none=null",
        ]
        assert {w.partition("=")[0]: yaml.safe_load(w.partition("=")[2]) for w in words} == kwargs
    assert settings.to_flags({"env": {"kwargs": {}}}) == ["--env.kwargs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, r"over 10,000 settings, or over 20 levels"),
        ("env: &a {name: gridworld, x: *a}", "over 20 levels"),
        ("a: " + "[" * 3000, "recursion"),
        ('env: "a\\0.py"', r"it holds 'a\\x00.py'"),
        ("steps: !!timestamp x", "is not valid yaml"),
        ("steps: 2001-99-99", "month must be in"),
        ("steps: !!python/name:os.system", "could not determine a constructor"),
    ],
)
def test_a_file_of_more_than_settings_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        settings.read_yaml(tmp_path / "s.yaml")


def test_an_alias_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    assert settings.read_yaml(tmp_path / "s.yaml") == {"a": [1, 2], "b": [1, 2]}


def test_settings_that_cannot_be_read_are_told() -> None:
    @dataclass(frozen=True)
    class Odd:
        """Whose default cannot be made."""

        steps: int = field(default_factory=lambda: 1 // 0)

    with pytest.raises(
        UserError, match=r"cannot be read \(ZeroDivisionError: .*\): mend the Config"
    ):
        settings.parse(Odd, (), prog="test", description="")
