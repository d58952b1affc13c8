"""GRPO whose flagged completions train the quarantine alone."""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from routed_rl.trl.advantages import group_advantages
from routed_rl.trl.flags import FLAGS, Flag, as_flags, check_column
from routed_rl.trl.seams import SeamError, check_seams, given, moved
from routed_rl.trl.trainer import RoutedTrainer

_SEAMS = (
    "_calculate_rewards",
    "_generate_and_score_completions",
    "_log_completion_extra",
    "_log_metric",
    "training_step",
    "compute_loss",
)


class RoutedGRPOTrainer(RoutedTrainer, GRPOTrainer):
    """TRL's GRPO trainer with a quarantine.

    Args:
        model: what `quarantine` or `load` returned.
        *args: as `GRPOTrainer`'s.
        flag: `flag(prompts, completions, **columns)` says for each completion whether it is bad,
            or how surely, 0 to 1. It is given what a reward function is, and may be async, too. Or
            the name of a column, which the sets for evaluation need as well.
        **kwargs: as `GRPOTrainer`'s, and `unflagged` and `measure_every` of `RoutedTrainer`.

    Raises:
        ValueError: if something is missing, misspelt, or not supported with a quarantine.
    """

    trl_trainer = GRPOTrainer

    def __init__(self, model: Any, *args: Any, flag: Flag | str, **kwargs: Any) -> None:
        """Check what was given, and let the trainer begin."""
        check_seams(GRPOTrainer, _SEAMS)
        if not callable(flag) and not isinstance(flag, str):
            raise ValueError(f"flag={flag!r}: pass a function, or the name of a column.")
        told = given(GRPOTrainer, model, args, kwargs)
        if isinstance(flag, str):
            check_column(flag, told.get("train_dataset"))
            check_column(flag, told.get("eval_dataset"))
        kind = getattr(told.get("args"), "multi_objective_aggregation", "sum_then_normalize")
        if kind != "sum_then_normalize":
            raise ValueError(
                f"multi_objective_aggregation={kind!r} is not supported with a quarantine: "
                "use 'sum_then_normalize'."
            )
        self._flag = flag
        self._scored: tuple[Tensor, Tensor] | None = None
        self._formula_checked = False
        super().__init__(model, *args, **kwargs)

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        """Score completions as ever, and flag them."""
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        flagged = self._flags(inputs, prompts, completions, completion_ids_list)
        self._log_completion_extra("flagged", flagged.tolist())
        self._scored = (rewards, flagged.to(rewards.device))
        return rewards

    def _flags(self, inputs: Any, prompts: Any, completions: Any, ids: Any) -> Tensor:
        """Ask the detector."""
        if isinstance(self._flag, str):
            check_column(self._flag, inputs)
            said = [example[self._flag] for example in inputs]
            return as_flags(said, len(prompts), f"column {self._flag!r}")
        own = ("prompt", "completion", "completion_ids")
        named: dict[str, Any] = {k: [x[k] for x in inputs] for k in inputs[0] if k not in own}
        named |= {"trainer_state": self.state, "log_extra": self._log_completion_extra}
        named |= {"log_metric": self._log_metric}
        if self.environments is not None:
            named["environments"] = self.environments
        answers = self._flag(prompts=prompts, completions=completions, completion_ids=ids, **named)
        if inspect.iscoroutine(answers):
            with ThreadPoolExecutor(1) as thread:  # a notebook has a loop running in this one
                answers = thread.submit(asyncio.run, answers).result()
        return as_flags(answers, len(prompts), getattr(self._flag, "__name__", "flag"))

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Generate as ever; the baseline of a group leaves out what is flagged."""
        output = super()._generate_and_score_completions(inputs)
        if self._scored is None:
            raise SeamError(moved("completions were scored without _calculate_rewards"))
        rewards_of_all, flagged = self._scored
        self._scored = None
        weights = self.reward_weights.to(rewards_of_all.device)
        rewards = (rewards_of_all * weights).nansum(dim=1)
        rewards[rewards_of_all.isnan().all(dim=1)] = torch.nan
        self._check_formula(rewards, output["advantages"])
        every = self.accelerator.gather(flagged.float())  # some processes may have bools
        advantages = self._advantages(rewards, every)
        own = self._own(advantages, len(flagged))
        output["advantages"] = own.to(output["advantages"].dtype)
        output[FLAGS] = flagged
        logged = self._logs["advantages"]  # the table of completions has TRL's
        for _ in range(min(len(advantages), len(logged))):
            logged.pop()
        logged.extend(advantages.tolist())
        return output

    def _advantages(self, rewards: Tensor, flagged: Tensor) -> Tensor:
        training = self.model.training
        size: Any = self.num_generations if training else self.num_generations_eval
        scale: Any = self.scale_rewards
        return group_advantages(rewards, flagged, size, scale)

    def _own(self, of_all: Tensor, count: int) -> Tensor:
        """Return this process's part."""
        start = self.accelerator.process_index * count
        return of_all[start : start + count]

    def _check_formula(self, rewards: Tensor, theirs: Tensor) -> None:
        """Raise if TRL's advantages are not ours without flags: its formula has changed then.

        Raises:
            SeamError: once, at the first batch.
        """
        if self._formula_checked:
            return
        self._formula_checked = True
        ours = self._own(self._advantages(rewards, torch.zeros_like(rewards)), len(theirs))
        if not torch.allclose(ours.to(theirs.dtype), theirs, atol=1e-4, rtol=1e-3):
            raise SeamError(moved("its advantages follow another formula"))
