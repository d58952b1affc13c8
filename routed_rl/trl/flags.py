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
    answers = _plain(answers)
    if not isinstance(answers, Sequence) or len(answers) != count:
        got = f"{len(answers)}" if isinstance(answers, Sequence) else f"{answers!r}"
        raise ValueError(f"{said_by} gave {got} for {count} completions: give one flag for each.")
    answers = [_plain(answer) for answer in answers]
    for answer in answers:
        is_number = isinstance(answer, bool | int | float)
        if not is_number or not 0 <= answer <= 1:  # (nan is not, either)
            raise ValueError(
                f"{said_by} gave {answer!r}: a flag is True or False, or how sure it is, 0 to 1."
            )
    if all(isinstance(answer, bool) for answer in answers):
        return torch.tensor(answers, dtype=torch.bool)
    return torch.tensor(answers, dtype=torch.float32)


def _plain(value: Any) -> Any:
    """Return what numpy, torch and pandas hold as Python's own numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def check_column(column: str, dataset: Any) -> None:
    """Raise unless a dataset, or each of several by name, has a column.

    Raises:
        ValueError: with the nearest name.
    """
    if isinstance(dataset, Mapping):
        for part in dataset.values():
            check_column(column, part)
    elif dataset is not None:
        columns = list(next(iter(dataset), {}))
        if column not in columns:
            near = difflib.get_close_matches(column, columns)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(columns)}."
            raise ValueError(f"the dataset has no column {column!r} with flags. {hint}")


class FlagCollator:
    """Collate as before, and add the flags of a column: one an example, or one a token."""

    def __init__(
        self,
        collate: Callable[[list[Any]], dict[str, Any]],
        column: str,
        kept: slice = slice(None),
    ) -> None:
        """Wrap a collator.

        Args:
            collate: makes a batch of examples.
            column: has the flags.
            kept: the tokens that TRL keeps of an example that is too long.
        """
        self._collate = collate
        self._column = column
        self._kept = kept

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch with flags (N,) or (N, T); without, if no example has the column.

        Raises:
            ValueError: if flags are no flags, or as many as there are no tokens.
        """
        rest = [{k: v for k, v in e.items() if k != self._column} for e in examples]
        batch = self._collate(rest)
        if not any(self._column in example for example in examples):
            return batch
        flags = [self.flags_of(example) for example in examples]
        if any(isinstance(flag, list) for flag in flags):
            batch[FLAGS] = self._of_tokens(flags, batch["input_ids"].shape[1])
        else:
            batch[FLAGS] = as_flags(flags, len(flags), f"column {self._column!r}")
        return batch

    def flags_of(self, example: Mapping[str, Any]) -> float | list[float]:
        """Return the flag of an example, or those of the tokens that are left of it.

        Raises:
            ValueError: if it has none, or not one a token.
        """
        said_by = f"column {self._column!r}"
        flags = _plain(example.get(self._column))
        if not isinstance(flags, list):
            as_flags([flags], 1, said_by)
            return flags
        if "input_ids" not in example:
            raise ValueError(
                f"{said_by} has a list where one flag is needed: flags of tokens are for SFT on "
                "text. Give one flag an example."
            )
        count = len(example["input_ids"])
        own = flags if len(flags) == count else flags[self._kept]
        if len(own) != count:
            raise ValueError(
                f"{said_by} has {len(flags)} flags for {count} tokens: give one a token, also for "
                "the one that TRL adds to end a text, or one an example."
            )
        return as_flags(own, count, said_by).tolist()

    def _of_tokens(self, flags: Sequence[Any], length: int) -> Tensor:
        """Place the flags of tokens at the positions that predict them, (N, T)."""
        if not all(isinstance(row, list) for row in flags):
            raise ValueError(
                f"column {self._column!r} has lists for some examples and none for others: "
                "give lists to all, or to none."
            )
        rows = [torch.tensor([*row[1:], *[0] * (length - len(row) + 1)]) for row in flags]
        placed = torch.stack(rows)
        return placed.bool() if ((placed == 0) | (placed == 1)).all() else placed
