"""Parameters that learn from some samples only, whatever their module is and however it is called.

While a module runs, its parameters are aliases: tensors with the same numbers. What the module
returns passes a tap. In the backward pass the gradient goes on through the tap as it is; what comes
to an alias that way is dropped. Instead the tap asks for the aliases' gradient once more, with the
gradient of the samples that may teach alone, and gives that to the parameters. So a module is run
once, randomness is drawn once, and hooks and running statistics see one forward pass.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from routed_rl.routing.formulas import Formula
from routed_rl.routing.masks import chosen, weighed
from routed_rl.routing.outputs import Place, belongs
from routed_rl.routing.rules import Parameters


class Undivided(NamedTuple):
    """An output in which samples cannot be told apart, which is right while no gradient comes."""

    path: str

    def refuse(self) -> NoReturn:
        """Raise, since a gradient came.

        Raises:
            ValueError: naming the output.
        """
        raise ValueError(
            f"a gradient came through output{self.path}, one number for all samples, which cannot "
            "be told apart there: compute the loss from what the model says of each."
        )


Placed = Tensor | Undivided | None
"""A mask for an output; None where a rule is not about it."""


@dataclass(eq=False)
class ParameterRule:
    """A rule in use."""

    key: str
    rule: Parameters
    modules: Sequence[nn.Module]
    """Those that the key names."""
    parameters: Sequence[nn.Parameter]
    governed: int = 0
    """How many parameters it governed so far, counted by calls."""

    def tells_apart_at(self, module: nn.Module) -> bool:
        """Say whether samples may be told apart in what a module returns."""
        inside = self.rule.at == "inside" and self.rule.output is None
        return inside or any(module is named for named in self.modules)

    def masks(
        self, module: nn.Module, found: Sequence[tuple[Tensor, Place]], *, is_last: bool
    ) -> list[Placed]:
        """Return the mask for each of a module's outputs.

        Where nobody outside is left to tell samples apart, a number for all is let be.
        """
        if not self.tells_apart_at(module):
            raise ValueError("samples are to be told apart in the module that the rule names.")
        only = self.rule.output
        meant = [only is None or belongs(place.path, only) for _, place in found]
        if not any(meant):
            raise ValueError(f"its output has no {only!r} with a gradient.")
        some_have_rows = any(
            x.ndim for (x, _), is_meant in zip(found, meant, strict=True) if is_meant
        )
        masks: list[Placed] = []
        for (x, place), is_meant in zip(found, meant, strict=True):
            if is_meant and is_last and some_have_rows and x.ndim == 0:
                masks.append(Undivided(place.path))
            else:
                masks.append(self.rule.placed(module, x, place) if is_meant else None)
        return masks


@dataclass(eq=False)
class Governed:
    """A parameter and the rules for it."""

    parameter: nn.Parameter
    rules: list[ParameterRule] = field(default_factory=list)

    def variants(self) -> Iterator[tuple[tuple[ParameterRule, ...], Tensor | None]]:
        """Yield the rules that hold together, and for which rows; None is all of them."""
        if all(used.rule.rows is None for used in self.rules):
            yield tuple(self.rules), None
            return
        holds = torch.stack([self._rows(used) for used in self.rules])  # (rules, rows)
        for pattern in holds.unique(dim=1).unbind(dim=1):
            rules = tuple(used for used, there in zip(self.rules, pattern, strict=True) if there)
            yield rules, (holds == pattern[:, None]).all(dim=0)

    def _rows(self, used: ParameterRule) -> Tensor:
        """Say for each row whether a rule is about it.

        Raises:
            ValueError: if it names rows that there are not.
        """
        rows = used.rule.rows
        count = self.parameter.shape[0] if self.parameter.ndim else 0
        try:
            return chosen(slice(None) if rows is None else rows, count, self.parameter.device)
        except IndexError:
            text = f"rule {used.key!r}: of a parameter with {count} rows there are no {rows}."
            raise ValueError(text) from None


class Alias(torch.autograd.Function):
    """A parameter's stand-in while a module runs."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor) -> Tensor:
        """Return the same numbers."""
        ctx.learnt = None
        ctx.set_materialize_grads(False)
        return parameter.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor | None:
        """Drop what comes by the module's graph, and give the parameter what its tap found out."""
        learnt, ctx.learnt = ctx.learnt, None
        return learnt


class Lesson(NamedTuple):
    """What a call of a module teaches, as its tap knows it."""

    governed: Sequence[Governed]
    masks: dict[ParameterRule, list[Placed]]
    """One for each output."""
    asking: Asking

    def learnt(self, outputs: int, ask: Ask) -> list[Tensor | None]:
        """Return what each parameter learns.

        Args:
            outputs: how many there are.
            ask: (a mask for each output, which parameters) -> what they learn.
        """
        if self.asking.now:  # an enclosing tap asks, and not about these
            return [None] * len(self.governed)
        asked: dict[tuple[ParameterRule, ...], dict[int, Tensor | None]] = {}
        for index, own in enumerate(self.governed):
            for rules, _rows in own.variants():
                asked.setdefault(rules, {})[index] = None
        self.asking.now = True
        try:
            for rules, found in asked.items():
                masks = [self._product(rules, place) for place in range(outputs)]
                found.update(zip(found, ask(masks, list(found)), strict=True))
        finally:
            self.asking.now = False
        return [self._assembled(own, index, asked) for index, own in enumerate(self.governed)]

    def _product(self, rules: tuple[ParameterRule, ...], place: int) -> Placed:
        """Multiply the masks of rules that hold together for one output; of bool, one of bool."""
        found = [mask for used in rules if (mask := self.masks[used][place]) is not None]
        masks = [mask for mask in found if isinstance(mask, Tensor)]
        if len(masks) < len(found):
            return next(mask for mask in found if isinstance(mask, Undivided))
        return functools.reduce(operator.mul, masks) if masks else None

    @staticmethod
    def _assembled(own: Governed, index: int, asked: Any) -> Tensor | None:
        """Put a parameter's gradient together from those of its rows."""
        whole = None
        for rules, rows in own.variants():
            part = asked[rules][index]
            if rows is None or part is None:
                return part
            whole = torch.zeros_like(part) if whole is None else whole
            whole[rows] = part[rows]
        return whole


Ask = Callable[[Sequence[Placed], Sequence[int]], Sequence[Tensor | None]]


class Asking(threading.local):
    """Whether a tap is asking at the moment, in this thread."""

    now = False


class Tap(torch.autograd.Function):
    """The identity of a module's outputs, which asks the module's graph what parameters learn."""

    @staticmethod
    def forward(
        ctx: Any, lesson: Lesson, edges: Any, aliases: Any, *outputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the outputs."""
        ctx.lesson = lesson
        ctx.edges = edges
        ctx.aliases = aliases
        ctx.set_materialize_grads(False)
        return tuple(output.clone() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """Hand gradients on, and leave with the aliases what parameters may learn."""
        refuse_second_derivatives()

        def ask(masks: Sequence[Placed], which: Sequence[int]) -> Sequence[Tensor | None]:
            there = [place for place, gradient in enumerate(gradients) if gradient is not None]
            return torch.autograd.grad(
                [ctx.edges[place] for place in there],
                [GradientEdge(ctx.aliases[index], 0) for index in which],
                [_kept(gradients[place], masks[place]) for place in there],
                retain_graph=True,  # the gradient that goes on needs it yet
                allow_unused=True,
            )

        if not ctx.lesson.asking.now:  # else an enclosing tap asks, and not about these
            found = ctx.lesson.learnt(len(gradients), ask)
            for alias, learnt in zip(ctx.aliases, found, strict=True):
                alias.learnt = learnt
        return None, None, None, *gradients


class FormulaTap(torch.autograd.Function):
    """The tap of a layer with a formula; its output is fresh, so nothing is copied."""

    @staticmethod
    def forward(
        ctx: Any, lesson: Lesson, called: Called, output: Tensor, x: Tensor, *_: Tensor
    ) -> Tensor:
        """Return the output; the last arguments are the parameters."""
        ctx.lesson = lesson
        ctx.called = called
        ctx.save_for_backward(x)
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Hand the gradient on, and give the parameters what they may learn."""
        refuse_second_derivatives()
        (x,) = ctx.saved_tensors
        called: Called = ctx.called

        def ask(masks: Sequence[Placed], which: Sequence[int]) -> Sequence[Tensor | None]:
            gradient, given = _of_learners(gradients[0], x.detach(), masks[0])
            given = given.to(gradient.dtype) if given.is_floating_point() else given
            wanted = {called.names[index] for index in which}
            learnt = called.formula(called.layer, given, gradient, wanted)
            dtypes = [ctx.lesson.governed[index].parameter.dtype for index in which]
            named = [learnt[called.names[index]] for index in which]
            return [own.to(dtype) for own, dtype in zip(named, dtypes, strict=True)]

        return None, None, gradients[0], None, *ctx.lesson.learnt(1, ask)


class Called(NamedTuple):
    """A layer with a formula, and the parameters that are governed."""

    layer: nn.Module
    formula: Formula
    names: Sequence[str]


def _kept(gradient: Tensor | None, mask: Placed) -> Tensor | None:
    """Return of an output's gradient what a mask lets through."""
    if isinstance(mask, Undivided):
        mask.refuse()
    return gradient if gradient is None or mask is None else weighed(gradient, mask)


def _of_learners(gradient: Tensor, x: Tensor, mask: Placed) -> tuple[Tensor, Tensor]:
    """Return of a gradient and a layer's input what a mask lets through."""
    assert not isinstance(mask, Undivided)  # a formula's output has rows
    if mask is None:
        return gradient, x
    if mask.dtype != torch.bool or mask.numel() != len(gradient) or gradient.is_cuda:
        return weighed(gradient, mask), x
    learners = mask.flatten().nonzero().squeeze(1)  # a copy of fewer samples, and less to sum up
    if len(learners) == len(gradient):
        return gradient, x
    if len(learners) == 0:  # some layers take no empty batch
        return weighed(gradient, mask), x
    return gradient.index_select(0, learners), x.index_select(0, learners)


def refuse_second_derivatives() -> None:
    """Raise where a gradient is to be differentiated again.

    Raises:
        RuntimeError: with create_graph=True.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "create_graph=True with the rule Parameters: there are first derivatives only. "
            "Use Activations, or route() in the model's own forward."
        )
