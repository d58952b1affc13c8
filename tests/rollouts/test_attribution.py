from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from routed_rl.rollouts.attribution import ContractError, attribute_errors
from routed_rl.utils.errors import UserError

HERE = Path(__file__).name


class Broken:
    """Somebody's world, whose fault shows in the standard library."""

    def step(self) -> None:
        inspect.getfile(3)  # type: ignore[arg-type]


def line_of(method: object, number: int) -> int:
    return inspect.getsourcelines(method)[1] + number  # type: ignore[arg-type]


def test_an_error_is_placed_in_the_file_of_whose_it_is() -> None:
    line = line_of(Broken.step, 1)
    words = rf"^environment rooms, step 7 raised TypeError: .* \({HERE}:{line}\): mend it\.$"
    for part in (Broken(), Broken, inspect.getmodule(Broken)):
        with (
            pytest.raises(ContractError, match=words),
            attribute_errors("environment rooms", part, lambda: ", step 7"),
        ):
            Broken().step()


def test_of_a_part_without_a_file_the_last_line_of_all_is_named() -> None:
    with (
        pytest.raises(ContractError, match=r"^agent a raised TypeError: .* \(inspect\.py:\d+\)"),
        attribute_errors("agent a", 3),
    ):
        Broken().step()


def test_what_was_told_already_passes_as_it_is() -> None:
    told = UserError("mend this.")
    with pytest.raises(UserError) as caught, attribute_errors("agent a", Broken):
        raise told
    assert caught.value is told


def test_whoever_ends_the_program_is_named() -> None:
    with (
        pytest.raises(ContractError, match=r"^environment game raised SystemExit: bye "),
        attribute_errors("environment game", Broken),
    ):
        raise SystemExit("bye")
