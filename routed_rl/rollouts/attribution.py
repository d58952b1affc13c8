"""Errors in somebody else's code become one line that says whose, when and where."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from routed_rl.utils.errors import UserError, one_line


class ContractError(UserError):
    """A world or an agent broke its contract."""


@contextmanager
def attribute_errors(who: str, part: Any, when: Callable[[], str] = str) -> Iterator[None]:
    """Turn whatever `part` raises into a ContractError of one line.

    Args:
        who: what to call it, such as "environment rooms".
        part: an object, class or module of it; the error is placed in its file.
        when: says where in the run it happened.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # games end the program where their window is closed
        place = _place(error, part)
        raise ContractError(
            f"{who}{when()} raised {one_line(error)} ({place}): mend it."
        ) from error


def _place(error: BaseException, part: Any) -> str:
    """Say which line raised: the last one in the file of `part`, else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    try:
        own = inspect.getfile(part if isinstance(part, type | ModuleType) else type(part))
    except (TypeError, OSError):
        own = ""
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(frame.filename).name}:{frame.lineno}"
