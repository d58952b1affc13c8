"""What a detector says of examples, as a tensor, and carried from a column to the loss."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

FLAGS = "routed_rl_flagged"
"""The key under which flags travel in a batch."""
Flag = Callable[..., Sequence[bool | float]]
"""flag(prompts, completions, **columns): what is bad in each completion, or how surely."""


def as_flags(answers: Any, count: int, said_by: str) -> Tensor:
    """Return flags as a tensor (count,) of bool, or of float32 in [0, 1].

    Raises:
        ValueError: if there are too many, too few, or something else than that.
    """
    answers = answers.tolist() if hasattr(answers, "tolist") else answers
    if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) != count:
        got = f"{len(answers)}" if isinstance(answers, Sequence) else f"{answers!r}"
        raise ValueError(f"{said_by} returned {got} for {count} completions: return one for each.")
    for answer in answers:
        is_number = isinstance(answer, bool | int | float)
        if not is_number or not 0 <= answer <= 1:  # (nan is not, either)
            raise ValueError(
                f"{said_by} returned {answer!r}: return True or False, or how sure it is, 0 to 1."
            )
    if all(isinstance(answer, bool) for answer in answers):
        return torch.tensor(answers, dtype=torch.bool)
    return torch.tensor(answers, dtype=torch.float32)


def check_column(column: str, columns: Sequence[str] | None) -> None:
    """Raise unless a dataset has a column.

    Raises:
        ValueError: with the nearest name.
    """
    if columns is None or column in columns:
        return
    near = difflib.get_close_matches(column, columns, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(columns)}."
    raise ValueError(f"the dataset has no column {column!r} with flags. {hint}")


class FlagCollator:
    """Collate as before, and add the flags of a column: one an example, or one a token."""

    def __init__(self, collate: Callable[[list[Any]], dict[str, Any]], column: str) -> None:
        """Wrap a collator."""
        self._collate = collate
        self._column = column

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch with flags (N,) or (N, T).

        Raises:
            ValueError: if an example has no flag, or as many as it has no tokens.
        """
        flags = [example.get(self._column) for example in examples]
        rest = [{k: v for k, v in e.items() if k != self._column} for e in examples]
        batch = self._collate(rest)
        if any(isinstance(flag, Sequence) for flag in flags):
            batch[FLAGS] = self._of_tokens(flags, rest, batch)
        else:
            batch[FLAGS] = as_flags(flags, len(flags), f"column {self._column!r}")
        return batch

    def _of_tokens(
        self, flags: Sequence[Any], examples: Sequence[Mapping[str, Any]], batch: Mapping[str, Any]
    ) -> Tensor:
        """Place the flags of tokens at the positions that predict them, (N, T)."""
        length = batch["input_ids"].shape[1]
        rows = []
        for flag, example in zip(flags, examples, strict=True):
            count = len(example["input_ids"])
            if not isinstance(flag, Sequence) or len(flag) < count:
                raise ValueError(
                    f"column {self._column!r} has {flag!r} for {count} tokens: give one flag a "
                    "token, or one an example in all of them."
                )
            row = as_flags(flag[:count], count, f"column {self._column!r}").float()
            rows.append(torch.nn.functional.pad(row[1:], (0, length - count + 1)))
        placed = torch.stack(rows)
        return placed.bool() if bool(((placed == 0) | (placed == 1)).all()) else placed
