"""Routing inside a trainer of TRL's: what GRPO, SFT and DPO have in common.

A micro-batch is computed once, forward and backward, whatever its mix of flags. What is flagged
trains the quarantine alone; all else trains both adapters, or the retain adapter alone.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from transformers import TrainerCallback

from routed_rl.routing import gradient_mass
from routed_rl.trl.adapters import (
    BASE,
    QUARANTINE,
    RETAIN,
    activate,
    check_adapters,
    load_base,
    region_of,
)
from routed_rl.trl.dial import check_dial
from routed_rl.trl.flags import FLAGS
from routed_rl.trl.optimizer import SplitAdamW
from routed_rl.trl.routes import AdapterRoutes
from routed_rl.trl.seams import check_arguments, check_processes, given

RETAINED = "retain"
"""The region of all that is kept: the retain adapter, and the base if it is trained."""


class RoutedTrainer:
    """Mix into a trainer of TRL's, before it.

    Args:
        model: what `quarantine` or `load` returned.
        *args: as the trainer's own.
        unflagged: what the rest trains: "both" adapters, or the "retain" adapter alone.
        routes: "flags" as said; two controls are "none", where everything trains everything, and
            "shuffled", where flags are dealt out anew among the examples of a micro-batch.
        split_moment: let Adam's second moment be that of gradients without routes, so that it does
            not undo how much a region learns; with AdamW, in one process.
        measure_every: steps between two measures of where gradients land; 0 for none.
        **kwargs: as the trainer's own.

    Raises:
        ValueError: if the model has no quarantine, or a setting does not go with one.
    """

    trl_trainer: type
    """The one of TRL's that this is mixed into."""
    model: Any
    accelerator: Any
    state: Any
    _metrics: dict[str, dict[str, list[float]]]

    def __init__(
        self,
        model: Any,
        *args: Any,
        unflagged: Literal["both", "retain"] = "both",
        routes: Literal["flags", "none", "shuffled"] = "flags",
        split_moment: bool = False,
        measure_every: int = 50,
        **kwargs: Any,
    ) -> None:
        """Check what was given, and let the trainer begin."""
        check_adapters(model)
        _check_choices(unflagged, routes, measure_every)
        arguments = given(self.trl_trainer, model, args, kwargs).get("args")
        check_arguments(arguments)
        self._trained = {name for name, p in model.named_parameters() if p.requires_grad}
        self._trains_base = any(region_of(name) == BASE for name in self._trained)
        if self._trains_base:
            self._refuse_trained_base(arguments)
        self._unflagged = unflagged
        self._routes = routes
        self._splits = split_moment
        self._measure_every = measure_every
        self._taught = {RETAINED: False, QUARANTINE: False}
        self._step_blocks: ExitStack | None = None
        self._unrouted: dict[int, Tensor] = {}
        super().__init__(model, *args, **kwargs)  # pyright: ignore[reportCallIssue]
        check_processes(self.accelerator.distributed_type.value)
        if "ref" in model.peft_config:  # TRL's copy: ours begin at 0, so the base is the reference
            model.delete_adapter("ref")
        self._wake(model)
        self._regions: dict[str, dict[str, nn.Parameter]] = {RETAINED: {}, QUARANTINE: {}}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or region_of(name) != BASE:
                region = QUARANTINE if region_of(name) == QUARANTINE else RETAINED
                self._regions[region][name] = parameter
        if split_moment and self.accelerator.num_processes > 1:
            raise ValueError("split_moment in several processes is not supported: leave it out.")
        self._adapters = AdapterRoutes(model, keeps_unrouted=split_moment)
        self.add_callback(_Untaught(self))  # type: ignore[attr-defined]

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, if the quarantine speaks as it is to learn.

        Raises:
            ValueError: if it is dialled to something else than 1.
        """
        check_dial(self.model)
        return super().train(*args, **kwargs)  # type: ignore[misc]

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Do a step whose forward and backward pass are routed."""
        with ExitStack() as blocks:
            self._step_blocks = blocks
            try:
                return super().training_step(*args, **kwargs)  # type: ignore[misc]
            finally:
                self._step_blocks = None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the trainer's loss, routed by the flags of a batch if this is a training step."""
        flagged = inputs.get(FLAGS)
        inputs = {name: value for name, value in inputs.items() if name != FLAGS}
        if self._step_blocks is not None:
            if flagged is None:
                raise ValueError(
                    "the batch has no flags: keep the column in the dataset, and the trainer's own "
                    "data collator."
                )
            if self._routes == "shuffled":
                flagged = flagged[torch.randperm(len(flagged)).to(flagged.device)]
            self._note(flagged)
            if self._measure_every and self.state.global_step % self._measure_every == 0:
                self._measure(inputs, flagged)
            self._step_blocks.enter_context(self._adapters.routed(self._masks(flagged)))
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def _masks(self, flagged: Tensor) -> dict[str, Tensor]:
        """Return what a batch with these flags may train, by adapter."""
        if self._routes == "none":
            return {}
        flagged = self._rows(flagged)
        masks = {RETAIN: ~flagged if flagged.dtype == torch.bool else 1.0 - flagged}
        if self._unflagged == "retain":
            masks[QUARANTINE] = flagged
        return masks

    def _rows(self, flagged: Tensor) -> Tensor:
        """Return the flags of the rows that the model is given."""
        return flagged

    def _note(self, flagged: Tensor) -> None:
        """Keep which regions this step trains, and log the flagged share."""
        everything = self._routes == "none"
        self._taught[RETAINED] |= everything or bool((flagged < 1).any())
        both = everything or self._unflagged == "both"
        self._taught[QUARANTINE] |= both or bool((flagged > 0).any())
        self._metrics["train"]["routing/flagged"].append(float(flagged.float().mean()))

    def _measure(self, inputs: dict[str, Any], flagged: Tensor) -> None:
        """Log where the gradients of flagged and of other examples land.

        The losses of these parts count tokens, steer entropy and log: all that is taken back.
        """
        is_flagged = flagged > 0.5 if flagged.ndim == 1 else (flagged > 0.5).any(dim=1)
        found: dict[str, float] = {}
        before = dict(vars(self))
        self._metrics = {mode: defaultdict(list) for mode in self._metrics}
        cards = [flagged.device] if flagged.is_cuda else []
        with torch.random.fork_rng(devices=cards):
            for label, rows in (("flagged", is_flagged), ("unflagged", ~is_flagged)):
                index = rows.nonzero().flatten()
                # Losses meet those of other processes: all take part, with as many examples.
                counts = self.accelerator.gather(torch.tensor([len(index)], device=flagged.device))
                index = index[: int(counts.min())]
                if not len(index):
                    continue
                some = _select(inputs, index, len(flagged))
                with self._adapters.routed(self._masks(flagged[index])):
                    loss = super().compute_loss(self.model, some)  # type: ignore[misc]
                    mass = gradient_mass({label: loss}, self._regions)[label]
                found |= {f"mass/{label}/{region}": share for region, share in mass.items()}
                if label == "flagged":
                    found["leakage"] = mass[RETAINED]
        vars(self).update(before)
        for name, value in found.items():
            self._metrics["train"][f"routing/{name}"].append(value)

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        """Clip region by region, so that what one learns does not scale another's step."""
        self.accelerator.unscale_gradients()
        squares = []
        most = self.args.max_grad_norm  # type: ignore[attr-defined]
        whole = self._adapters.unrouted
        for region, parameters in self._regions.items():
            norm = clip_grad_norm_(parameters.values(), most)
            for parameter in parameters.values():  # by as much as what it belongs to
                if id(parameter) in whole:
                    whole[id(parameter)].mul_((most / (norm + 1e-6)).clamp(max=1.0))
            self._metrics["train"][f"routing/grad_norm/{region}"].append(float(norm))
            squares.append(norm.square())
        return torch.stack(squares).sum().sqrt()

    def drop_untaught(self) -> None:
        """Take the gradients away from a region that nothing in this step may train.

        Adam would move it all the same, by momentum and weight decay.
        """
        taught = torch.tensor([float(t) for t in self._taught.values()])
        taught = self.accelerator.reduce(taught.to(self.accelerator.device), reduction="sum")
        for (region, parameters), learnt in zip(self._regions.items(), taught, strict=True):
            if not learnt:
                for parameter in parameters.values():
                    parameter.grad = None
            self._taught[region] = False
        if self._splits:
            self._unrouted.clear()
            self._unrouted.update(self._adapters.unrouted)
            self._adapters.forget_unrouted()

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Create the optimizer that was asked for; with a second moment of its own, if it was."""
        optimizer = super().create_optimizer(*args, **kwargs)  # type: ignore[misc]
        if not self._splits or isinstance(optimizer, SplitAdamW):
            return optimizer
        if not isinstance(optimizer, AdamW):
            raise ValueError(
                f"split_moment needs AdamW, and optim makes {type(optimizer).__name__}."
            )
        kept = ("params", "lr", "betas", "eps", "weight_decay")
        groups = [{name: group[name] for name in kept} for group in optimizer.param_groups]
        self.optimizer = SplitAdamW(groups, self._unrouted)
        return self.optimizer

    def _refuse_trained_base(self, arguments: Any) -> None:
        """Raise if the loss looks at a reference, which is the base.

        Raises:
            ValueError: naming the setting.
        """
        if getattr(arguments, "beta", 0.0):
            raise ValueError(
                f"beta={arguments.beta} with a trainable base: the reference is the base, and "
                "would move. Set beta=0.0, or leave train_base out."
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load both adapters, and the base if it is trained."""
        self.model.base_model.set_adapter(RETAIN)  # transformers warns of two that are active
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        if self._trains_base:
            load_base(self.model, resume_from_checkpoint)
        self._wake(self.model)

    def _load_best_model(self) -> None:
        """Load all of the best checkpoint: transformers' own would load one adapter."""
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _wake(self, model: Any) -> None:
        """Activate both adapters; what was frozen when training began stays so."""
        activate(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self._trained)


def _check_choices(unflagged: str, routes: str, measure_every: int) -> None:
    if unflagged not in ("both", "retain"):
        raise ValueError(f"unflagged={unflagged!r}: say 'both' or 'retain'.")
    if routes not in ("flags", "none", "shuffled"):
        raise ValueError(f"routes={routes!r}: say 'flags', 'none' or 'shuffled'.")
    if not isinstance(measure_every, int) or measure_every < 0:
        raise ValueError(f"measure_every={measure_every!r}: say how many steps; 0 for never.")


class _Untaught(TrainerCallback):
    """Tells a trainer that its optimizer is about to step."""

    def __init__(self, trainer: RoutedTrainer) -> None:
        self._trainer = trainer

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._trainer.drop_untaught()


def _select(inputs: dict[str, Any], index: Tensor, count: int) -> dict[str, Any]:
    """Return some examples of a batch, whose tensors have one or two rows an example."""
    rows = {count: index, 2 * count: torch.cat([index, index + count])}
    return {
        name: value[rows[len(value)].to(value.device)]
        if isinstance(value, Tensor) and value.ndim > 0 and len(value) in rows
        else value
        for name, value in inputs.items()
    }
