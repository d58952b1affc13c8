from __future__ import annotations

from routed_rl.utils.errors import nearest, one_line, printable


def test_the_nearest_right_name_is_suggested() -> None:
    assert nearest("gridwrold", ["gridworld", "point"]) == "Did you mean 'gridworld'?"
    assert nearest("Cartpole-v1", ["point"], more=["CartPole-v1"]) == "Did you mean 'CartPole-v1'?"


def test_where_none_is_near_the_known_ones_are_listed_and_the_many_others_not() -> None:
    assert nearest("xyz", ["point", "gridworld"], more=["CartPole-v1"]) == (
        "Known: gridworld, point."
    )


def test_an_error_is_one_line_of_limited_length() -> None:
    assert one_line(ValueError("two\n  lines")) == "ValueError: two lines"
    assert one_line(ValueError("x" * 500), most=20) == "ValueError: xxxxxxxx"


def test_an_error_that_cannot_be_written_is_named() -> None:
    class WordlessError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert one_line(WordlessError()) == "WordlessError: it cannot be written"


def test_what_is_no_letter_is_written_as_python_does() -> None:
    assert printable("a b é😀") == "a b é😀"
    assert printable("a\nb\x1b[31m\u2028\udcff") == "a\\nb\\x1b[31m\\u2028\\udcff"
