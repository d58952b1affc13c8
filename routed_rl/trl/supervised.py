"""Fine-tuning and preferences: flags come from a column of the dataset."""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from trl import DPOTrainer, SFTTrainer

from routed_rl.trl.flags import FlagCollator, check_column
from routed_rl.trl.seams import check_seams, given
from routed_rl.trl.trainer import RoutedTrainer

_SEAMS = ("_set_signature_columns_if_needed", "training_step", "compute_loss")


class _FromColumn(RoutedTrainer):
    """A trainer whose data collator hands on a column with flags.

    Args:
        model: what `quarantine` or `load` returned.
        *args: as the trainer's own.
        flag: the name of the column. Evaluation needs none.
        **kwargs: as the trainer's own, and `unflagged` and `measure_every` of `RoutedTrainer`.

    Raises:
        ValueError: if something is missing, misspelt, or not supported with a quarantine.
    """

    def __init__(self, model: Any, *args: Any, flag: str = "flagged", **kwargs: Any) -> None:
        """Check what was given, and let the trainer begin."""
        if not isinstance(flag, str):
            raise ValueError(f"flag={flag!r}: name a column; functions are for GRPO alone.")
        check_column(flag, given(self.trl_trainer, model, args, kwargs).get("train_dataset"))
        self._flag = flag
        super().__init__(model, *args, **kwargs)
        collator = FlagCollator(self.data_collator, flag, _kept(self.args))
        collator.flags_of(next(iter(self.train_dataset)))  # told now, and not in the first step
        self.data_collator = collator

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the column, which no model takes."""
        super()._set_signature_columns_if_needed()  # type: ignore[misc]
        if self._flag not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, self._flag]


def _kept(arguments: Any) -> slice:
    """Return which tokens TRL keeps of an example that is too long."""
    most = arguments.max_length
    if most is None or arguments.truncation_mode == "keep_start":
        return slice(most)
    return slice(-most, None)


class RoutedSFTTrainer(_FromColumn, SFTTrainer):
    """TRL's SFT trainer with a quarantine. A flag is for an example, or there is one a token.

    Flags of tokens stand for the positions that predict these tokens. What earlier positions did
    for the prediction, through attention, they learn by their own flags.
    """

    trl_trainer = SFTTrainer

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Check what was given, and let the trainer begin."""
        check_seams(SFTTrainer, _SEAMS)
        super().__init__(model, *args, **kwargs)


class RoutedDPOTrainer(_FromColumn, DPOTrainer):
    """TRL's DPO trainer with a quarantine. A flag is for a pair: to prefer it so is bad."""

    trl_trainer = DPOTrainer

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Check what was given, and let the trainer begin."""
        check_seams(DPOTrainer, _SEAMS)
        super().__init__(model, *args, **kwargs)

    def _refuse_trained_base(self, arguments: Any) -> None:
        """Raise: without a reference that stays, preferences teach nothing.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "train_base does not go with DPO, whose reference is the base, and would move: "
            "leave train_base out."
        )

    def _rows(self, flagged: Tensor) -> Tensor:
        """Return a flag for each text: those that are chosen come first, then the rejected."""
        return torch.cat([flagged, flagged])
