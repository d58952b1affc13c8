"""A checker: does routing do in your own model what its rules say?

Each rule alone, and all together, are compared with a run of every sample by itself, in which
nothing is routed by this package: outputs are detached by plain hooks, and what parameters learn
from a sample is multiplied by its mask. The model is a copy in float64 and in evaluation mode.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.routing.block import routed, target_of
from routed_rl.routing.learning import ParameterRule
from routed_rl.routing.masks import as_mask
from routed_rl.routing.outputs import Place, changed, tensors_in
from routed_rl.routing.rules import Activations, Parameters, Rule, Values, as_rule

Loss = Callable[[Any], Tensor]
"""What a model returned -> a loss, a sum over samples."""
_SAME = {torch.float64: 1e-9, torch.float32: 1e-3}
"""So far may gradients be from the longhand ones, relative to the largest, by precision."""
_ROUNDING = 1e-4
"""If samples alone differ from a batch by less, the model itself computes in a lower precision."""
_RIGHT = "right"
_COLUMNS = ("rule", "kind", "governs", "values", "gradients", "verdict")


@dataclass(frozen=True)
class Checked:
    """What came of one rule."""

    rule: str
    kind: str
    governed: int
    """Tensors or parameters."""
    values: float
    """How far outputs are from the plain ones at most, or with `Values` from the longhand ones.

    NaN if there is nothing to compare.
    """
    gradients: float
    """How far gradients are from the longhand ones at most, relative to the parameter's largest."""
    verdict: str
    """"right", to what precision if it is the model's own; or what is wrong."""

    def cells(self) -> tuple[str, ...]:
        """Return a table's cells."""
        numbers = [_said(self.values), _said(self.gradients)]
        return (self.rule, self.kind, str(self.governed), *numbers, self.verdict)


@dataclass(frozen=True)
class Verification:
    """What `verify` found: print it, or ask whether it is `ok`."""

    checked: Sequence[Checked]

    @property
    def ok(self) -> bool:
        """Say whether everything is right."""
        return all(row.verdict.startswith(_RIGHT) for row in self.checked)

    def __str__(self) -> str:
        """Draw the table."""
        rows = [_COLUMNS, *(row.cells() for row in self.checked)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)


def verify(
    model: nn.Module,
    rules: Mapping[str, Rule],
    batch: Any,
    *,
    loss: Loss | None = None,
    dtype: torch.dtype = torch.float64,
) -> Verification:
    """Compare routing with every sample taken alone, rule by rule.

    Args:
        model: any module that can be copied; it is left as it is.
        rules: as for `routed`, with masks for the samples of this batch.
        batch: what the model is called with: a tensor, a tuple of arguments or a mapping of keyword
            arguments. Tensors whose first axis is as long as the first one's are taken apart.
        loss: of what the model returns, a sum over samples. Without it, fixed weights and a sine of
            every output.
        dtype: float32 for a model that makes such tensors itself; then small errors are not seen.

    Returns:
        A row for each rule, one for all together, and one for no rule. If that is wrong, samples
        are not independent of one another in this model.
    """
    model = copy.deepcopy(model).to(dtype).eval()
    case = _Case(model, _arguments(batch, dtype), loss or _loss, _SAME[dtype])
    plain = case.checked("no rule", {})
    if 0 < plain.gradients < _ROUNDING:
        case = replace(case, same=20 * plain.gradients)
        plain = replace(plain, verdict=f"{_RIGHT}, in the model's own precision")
    rows = [plain]
    rows += [case.checked(key, {key: rule}) for key, rule in rules.items()]
    if len(rules) > 1:
        rows.append(case.checked("all together", rules))
    return Verification(rows)


@dataclass(frozen=True)
class _Run:
    """What came out of a batch, or of its samples."""

    outputs: list[Tensor]
    gradients: list[Tensor]


@dataclass(frozen=True)
class _Case:
    """A model and what it is called with."""

    model: nn.Module
    batch: dict[int | str, Any]
    loss: Loss
    same: float

    def checked(self, name: str, rules: Mapping[str, Rule]) -> Checked:
        """Compare one routed run with longhand ones."""
        kinds = {type(as_rule(rule)).__name__ for rule in rules.values()}
        kind = kinds.pop() if len(kinds) == 1 else ""
        if any(_is_fine(as_rule(rule)) for rule in rules.values()):
            text = "not checked: longhand is for masks (N,) over all outputs"
            return Checked(name, kind, 0, math.nan, math.nan, text)
        block = routed(self.model, rules)
        try:
            with block:
                run = self._run(self.batch)
        except (ValueError, RuntimeError) as error:
            text = str(error).splitlines()[0]
            if isinstance(error, RuntimeError) and self.same == _SAME[torch.float64]:
                text += " (dtype=torch.float32 may help)"
            return Checked(name, kind, 0, math.nan, math.nan, text)
        longhand = self._longhand({key: as_rule(rule) for key, rule in rules.items()})
        if any(isinstance(rule, Values) for rule in rules.values()):
            values = _farthest(run.outputs, longhand.outputs, self.same)
        else:
            values = max(map(_difference, run.outputs, self._run(self.batch).outputs))
        gradients = _farthest(run.gradients, longhand.gradients, self.same)
        stopped = [bool((own == 0).all()) for own in longhand.gradients]
        leak = any(s and bool((g != 0).any()) for s, g in zip(stopped, run.gradients, strict=True))
        verdict = _RIGHT
        if gradients or values:
            verdict = "wrong" if rules else "samples are not independent of one another"
        elif leak:
            verdict = "what is to be 0 is not exactly 0"
        governed = sum(block.governed.values())
        return Checked(name, kind, governed, values, gradients, verdict)

    def _run(self, batch: Mapping[int | str, Any]) -> _Run:
        """Call the model, and take gradients."""
        arguments = [item for name, item in batch.items() if isinstance(name, int)]
        named = {name: item for name, item in batch.items() if isinstance(name, str)}
        self.model.zero_grad()
        output = self.model(*arguments, **named)
        loss = self.loss(output)
        if loss.requires_grad:
            loss.backward()
        parameters = self.model.parameters()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
        return _Run([x.detach() for x in tensors_in(output)], gradients)

    def _longhand(self, rules: Mapping[str, Any]) -> _Run:
        """Run every sample alone, and add up what it teaches."""
        count = len(next(item for item in self.batch.values() if isinstance(item, Tensor)))
        runs = []
        for index in range(count):
            sample = {name: _sample(item, index, count) for name, item in self.batch.items()}
            runs.append(self._alone(sample, index, rules))
        outputs = [torch.cat(parts) for parts in zip(*(r.outputs for r in runs), strict=True)]
        gradients = [sum(parts) for parts in zip(*(r.gradients for r in runs), strict=True)]
        return _Run(outputs, gradients)  # type: ignore[arg-type]

    def _alone(self, sample: Mapping[int | str, Any], index: int, rules: Mapping[str, Any]) -> _Run:
        """Run one sample by plain hooks."""
        handles = []
        taught = {id(p): torch.ones_like(p) for p in self.model.parameters()}
        for key, rule in rules.items():
            target = target_of(self.model, key, rule)
            if isinstance(target, ParameterRule):
                for parameter in target.parameters:
                    rows = slice(None) if rule.rows is None else rule.rows
                    own = taught[id(parameter)]
                    own[rows if own.ndim else ...] *= float(_of_sample(rule.grad_mask, index))
                continue
            for module in target.modules:
                handles.append(_hooked(module, rule, index))
        try:
            run = self._run(sample)
        finally:
            for handle in handles:
                handle.remove()
        weights = [taught[id(p)] for p in self.model.parameters()]
        pairs = zip(weights, run.gradients, strict=True)
        return _Run(run.outputs, [torch.where(w == 0, 0 * w, w * g) for w, g in pairs])


def _is_fine(rule: Any) -> bool:
    """Say whether a rule for parameters tells more apart than samples."""
    if not isinstance(rule, Parameters):
        return False
    return rule.output is not None or as_mask(rule.grad_mask).ndim > 1


def _hooked(module: nn.Module, rule: Any, index: int) -> Any:
    """Change what a module returns, or is given, as a rule says for one sample."""
    own = _of_sample(rule.grad_mask if isinstance(rule, Activations) else rule.mask, index)

    def change(x: Tensor, place: Place) -> Tensor:
        weight = rule.placed(own, module, x, place).to(x.dtype)
        if isinstance(rule, Activations):
            return torch.where(weight == 0, x.detach(), x.detach() + weight * (x - x.detach()))
        return torch.where(weight == 0, torch.zeros_like(x), weight * x)

    if rule.at == "input":
        return module.register_forward_pre_hook(lambda _m, args: changed(args, change, rule.output))
    return module.register_forward_hook(lambda _m, _args, y: changed(y, change, rule.output))


def _of_sample(mask: Any, index: int) -> Tensor:
    """Return a mask's part for one sample, its first axis 1 long."""
    return mask if mask.ndim == 0 else mask[index : index + 1]


def _said(difference: float) -> str:
    if math.isnan(difference):
        return "-"
    return "same" if difference == 0 else f"{difference:.0e} off"


def _sample(item: Any, index: int, count: int) -> Any:
    """Return one sample of what a model is called with."""
    is_batch = isinstance(item, Tensor) and item.ndim > 0 and len(item) == count
    return item[index : index + 1] if is_batch else item


def _arguments(batch: Any, dtype: torch.dtype) -> dict[int | str, Any]:
    """Return a call's arguments by place or name, in one precision."""
    items = dict(batch) if isinstance(batch, Mapping) else dict(enumerate(_tuple(batch)))
    is_float = lambda x: isinstance(x, Tensor) and x.is_floating_point()  # noqa: E731
    return {name: item.to(dtype) if is_float(item) else item for name, item in items.items()}


def _tuple(batch: Any) -> tuple[Any, ...]:
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def _loss(output: Any) -> Tensor:
    """Weigh every output, so that no two numbers of a sample count alike."""
    total = torch.zeros(())
    for x in tensors_in(output):
        rows = x.flatten(1) if x.ndim > 1 else x[:, None]
        weights = torch.linspace(-1, 2, rows.shape[1], dtype=x.dtype, device=x.device)
        total = total + (rows * weights).sum() + rows.sum(dim=1).sin().sum()
    return total


def _farthest(ours: Sequence[Tensor], theirs: Sequence[Tensor], same: float) -> float:
    """Return how far tensors are apart, relative to the largest number; 0 if that is rounding."""
    largest = max((float(b.abs().max()) for b in theirs if b.numel()), default=0.0)
    farthest = 0.0
    for a, b in zip(ours, theirs, strict=True):
        # Where a gradient is rounding alone, as that of an attention's keys' bias, so is its error.
        scale = max(float(b.abs().max()) if b.numel() else 0.0, 1e-6 * largest, 1e-300)
        farthest = max(farthest, _difference(a, b) / scale)
    return farthest if farthest > same else 0.0


def _difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference of two tensors; infinity if their shapes differ."""
    if a.shape != b.shape:
        return math.inf
    return float((a - b).abs().max()) if a.numel() else 0.0
