"""Which module's forward a parameter is used in: the innermost that runs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.utils.parametrize import ParametrizationList

from routed_rl.routing.calls import in_backward, is_reentrant
from routed_rl.routing.formulas import Formula, formula_for
from routed_rl.routing.learning import (
    Alias,
    Asking,
    Called,
    FormulaTap,
    Governed,
    Lesson,
    Tap,
)
from routed_rl.routing.outputs import Place, changed, keeps_batch_second, may_be_positions

TURN = threading.RLock()
"""Held while a module's parameters are aliases: threads that route one model take turns."""


class Slot(NamedTuple):
    """Where a module holds a governed parameter."""

    holder: nn.Module
    name: str
    governed: Governed

    def fill(self, tensor: Tensor) -> None:
        """Let the module find this tensor there."""
        self.holder._parameters[self.name] = tensor  # type: ignore[assignment]
        if isinstance(self.holder, nn.RNNBase):  # it has a list of its own
            names = self.holder._flat_weights_names
            vars(self.holder)["_flat_weights"] = [
                getattr(self.holder, name, None) for name in names
            ]

    def content(self) -> Tensor:
        """Return what the module finds there."""
        there = self.holder._parameters[self.name]
        assert there is not None
        return there

    def restore(self, before: Tensor, alias: Tensor) -> None:
        """Put back what was there, with what the module has done to its alias."""
        if self.content() is not alias:  # the module has another parameter by now
            return
        if alias.data_ptr() != before.data_ptr():  # `weight.data = ...`
            before.data = alias.data
        self.fill(before)


_Slots = dict[tuple[int, str], Slot]
"""By the holder's id and the name."""


@dataclass
class Walk:
    """What a block needs to know of its models' modules."""

    names: dict[nn.Module, str] = field(default_factory=dict)
    parents: dict[int, nn.Module] = field(default_factory=dict)
    """id of a module -> the one that holds it."""
    sites: dict[int, list[Slot]] = field(default_factory=dict)
    """id of a module -> the governed parameters that it or a module inside it holds."""

    def visit(self, model: nn.Module, governed: Mapping[int, Governed]) -> None:
        """Add a model, and the slots of its governed parameters."""

        def go(module: nn.Module, name: str, users: tuple[_Slots, ...], *, of_weight: bool) -> None:
            self.names[module] = name
            own: _Slots = {}
            # What parametrises a weight returns a weight, in which no samples are.
            of_weight = of_weight or isinstance(module, ParametrizationList)
            users = users if of_weight else (*users, own)
            for key, parameter in module._parameters.items():
                if id(parameter) in governed:
                    slot = Slot(module, key, governed[id(parameter)])
                    for user in users:
                        user[id(module), key] = slot
            for key, child in module._modules.items():
                if child is not None:
                    self.parents[id(child)] = module
                    go(child, f"{name}.{key}" if name else key, users, of_weight=of_weight)
            if own:
                self.sites[id(module)] = list(own.values())

        go(model, "", (), of_weight=False)


class Use(NamedTuple):
    """An alias that something was computed from."""

    slot: Slot
    alias: Any
    """The node of its gradient."""


@dataclass
class Frame:
    """A module that runs."""

    module: nn.Module
    slots: Sequence[Slot]
    formula: Formula | None
    batch_second: bool
    """The batch is the second axis inside."""
    before: list[Tensor] = field(default_factory=list)
    """What stood in the slots."""
    put: list[Tensor] = field(default_factory=list)
    """What was put there instead."""
    aliases: list[weakref.ref[Any]] = field(default_factory=list)
    """Dead where an alias is used by nothing."""
    handed_on: list[Use] = field(default_factory=list)
    """Uses inside a module that it called, where samples could not be told apart."""


class Frames:
    """The modules that run, the innermost last."""

    def __init__(self, walk: Walk) -> None:
        """Begin with none."""
        self._sites = walk.sites
        self._names = walk.names
        self._parents = walk.parents
        self._frames: list[Frame] = []
        self._put: set[int] = set()
        """ids of the aliases that stand somewhere."""
        self._asking = Asking()

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Put aliases where a module that is about to run will find its parameters."""
        TURN.acquire()
        # Where no gradient is taken, or samples are not first, aliases are of no use.
        second = bool(self._frames) and self._frames[-1].batch_second
        slots = self._open_slots(module) if torch.is_grad_enabled() and not second else []
        second = second or keeps_batch_second(module)
        frame = Frame(module, slots, formula_for(module, args, slots), second)
        self._frames.append(frame)
        self._refuse_methods_computed_again(module)
        for slot in slots:
            frame.before.append(slot.content())
            parameter = slot.governed.parameter
            if frame.formula is not None:
                alias = parameter.detach()
            else:
                alias = Alias.apply(parameter)
                frame.aliases.append(weakref.ref(alias.grad_fn))
            vars(alias).update(vars(parameter))  # what others keep on a parameter
            frame.put.append(alias)
            self._put.add(id(alias))
            slot.fill(alias)

    def _open_slots(self, module: nn.Module) -> list[Slot]:
        """Return the slots that hold what we know, and in which samples may be told apart here."""
        found = []
        for slot in self._sites[id(module)]:
            own = slot.governed
            there = slot.holder._parameters.get(slot.name)
            is_known = there is own.parameter or id(there) in self._put  # else somebody swapped it
            apart = all(used.tells_apart_at(module) for used in own.rules)
            if is_known and apart and own.parameter.requires_grad:
                found.append(slot)
        return found

    def _refuse_methods_computed_again(self, module: nn.Module) -> None:
        """Raise where a backward pass runs a part of a module whose own parameters are governed.

        Raises:
            ValueError: since these would not be seen.
        """
        if len(self._frames) == 1 and is_reentrant() and id(module) in self._parents:
            slots = self._sites.get(id(self._parents[id(module)]), ())
            if any(slot.holder is self._parents[id(module)] for slot in slots):
                raise ValueError(
                    f"a method of {self._names[self._parents[id(module)]]!r} is computed again, "
                    "where its own parameters are not seen: say use_reentrant=False."
                )

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Take the aliases away, and return a module's output behind a tap if it used any."""
        frame = self._close(module)
        if frame is None:
            return output
        if frame.formula is not None:
            return output if output is None else self._by_formula(frame, args[0], output)
        aliases = [(slot, alive()) for slot, alive in zip(frame.slots, frame.aliases, strict=True)]
        used = [Use(slot, alias) for slot, alias in aliases if alias is not None] + frame.handed_on
        if not used:
            return output
        if self._frames and (output is None or may_be_positions(module, output)):
            self._frames[-1].handed_on += used
            return output
        try:
            return output if output is None else self._tapped(frame, used, output)
        except ValueError as error:
            if self._frames:  # perhaps samples can be told apart where this module was called
                self._frames[-1].handed_on += used
                return output
            if in_backward() and not is_reentrant():  # this graph is there to be looked up alone
                return output
            rules = {repr(rule.key) for use in used for rule in use.slot.governed.rules}
            name = f"{self._names[module]!r} ({type(module).__name__})"
            raise type(error)(f"rule {', '.join(sorted(rules))}, {name}: {error}") from None

    def _tapped(self, frame: Frame, used: Sequence[Use], output: Any) -> Any:
        """Put a tap behind a module that used some of its aliases."""
        found: list[tuple[Tensor, Place]] = []

        def note(x: Tensor, place: Place) -> Tensor:
            if x.requires_grad:
                found.append((x, place))
            return x

        changed(output, note)
        if not found:
            raise ValueError("it used parameters, and returned nothing that has a gradient.")
        lesson = self._lesson(frame.module, [use.slot for use in used], found)
        edges = [get_gradient_edge(x) for x, _ in found]
        aliases = [use.alias for use in used]
        tapped = Tap.apply(lesson, edges, aliases, *(x for x, _ in found))
        replaced = iter(tapped)
        return changed(output, lambda x, _place: next(replaced) if x.requires_grad else x)

    def _by_formula(self, frame: Frame, x: Tensor, output: Tensor) -> Tensor:
        """Put a tap behind a layer with a formula."""
        lesson = self._lesson(frame.module, frame.slots, [(output, Place(""))])
        assert frame.formula is not None
        called = Called(frame.module, frame.formula, [slot.name for slot in frame.slots])
        parameters = [own.parameter for own in lesson.governed]
        return FormulaTap.apply(lesson, called, output, x, *parameters)

    def _lesson(
        self, module: nn.Module, slots: Sequence[Slot], found: Sequence[tuple[Tensor, Place]]
    ) -> Lesson:
        """Prepare what a module's call is to teach."""
        governed = [slot.governed for slot in slots]
        rules = dict.fromkeys(rule for own in governed for rule in own.rules)
        masks = {rule: rule.masks(module, found, is_last=not self._frames) for rule in rules}
        for own in governed:
            for rule in own.rules:
                rule.governed += 1
        return Lesson(governed, masks, self._asking)

    def close_all(self) -> None:
        """Take all aliases away, if an interrupt left some."""
        while self._frames:
            self._close(self._frames[-1].module)

    def _close(self, module: nn.Module) -> Frame | None:
        """Take away the aliases of a module, and of those inside that an interrupt left."""
        if not any(frame.module is module for frame in self._frames):
            return None
        while True:
            frame = self._frames.pop()
            for slot, before, alias in zip(frame.slots, frame.before, frame.put, strict=False):
                self._put.discard(id(alias))
                slot.restore(before, alias)
            frame.put.clear()
            TURN.release()
            if frame.module is module:
                return frame
