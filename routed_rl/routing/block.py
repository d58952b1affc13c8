"""`routed`: rules for the modules of a model that you do not own, while a `with` block lasts."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from routed_rl.routing import calls
from routed_rl.routing.frames import TURN, Frames, Walk
from routed_rl.routing.learning import Governed, ParameterRule
from routed_rl.routing.outputs import Place, changed, tensors_in
from routed_rl.routing.rules import Activations, Parameters, Rule, Values, as_rule

_ALL_BUT = "!"
"""Begins a key that stands for all parameters that the rest does not name."""
_LISTED = 12
"""How many names an error lists at most."""


class UnusedRuleError(ValueError):
    """A rule governed nothing."""


class TensorRule:
    """A rule for what modules return or are given, in use."""

    def __init__(self, key: str, rule: Activations | Values, modules: Sequence[nn.Module]) -> None:
        """Begin with nothing governed."""
        self.key = key
        self.rule = rule
        self.modules = modules
        self.governed = 0
        """How many tensors it governed so far."""

    def applied(self, module: nn.Module, value: Any) -> Any:
        """Return what a module returned or was given, with its tensors routed.

        Raises:
            ValueError: if the mask does not fit.
        """

        def change(x: Tensor, place: Place) -> Tensor:
            # A compiled graph would be made anew for each count.
            self.governed = 1 if torch.compiler.is_compiling() else self.governed + 1
            return self.rule.applied(module, x, place)

        return changed(value, change, self.rule.output)


class routed:  # noqa: N801 - used as torch.no_grad is
    """Route a model inside a `with` block. Backward belongs inside too, if it recomputes.

    Nothing is changed in the model, and nothing is left behind, also after an exception.

    Args:
        model: any module.
        rules: what to do where. A key is the name of a submodule, or of a parameter, or a pattern
            like "blocks.*.mlp"; "!branch" is for all parameters outside of it.
        allow_unused: let there be rules that govern nothing.

    Yields:
        The model.

    Raises:
        ValueError: if a name matches nothing, or a mask does not fit what it is for.
        UnusedRuleError: when the block ends, if a rule governed nothing.
    """

    def __init__(
        self, model: nn.Module, rules: Mapping[str, Rule], *, allow_unused: bool = False
    ) -> None:
        """Find what each rule is for."""
        self.model = model
        self.allow_unused = allow_unused
        with TURN:  # of another thread's aliases none is to be taken for a parameter
            self._targets = [target_of(model, key, as_rule(rule)) for key, rule in rules.items()]

    @property
    def governed(self) -> dict[str, int]:
        """Return how many tensors or parameters each rule governed so far, counted by calls."""
        return {target.key: target.governed for target in self._targets}

    def __enter__(self) -> nn.Module:
        """Begin to route, also by the rules of the blocks around this one."""
        outer = calls.current()
        self._blocks: list[routed] = [*(outer._blocks if isinstance(outer, routed) else ()), self]
        with TURN:
            self._prepare()
        self._ran = False
        self._with_gradient: set[bool] = set()  # how modules with governed parameters ran
        calls.open_block(self)
        return self.model

    def _prepare(self) -> None:
        """Find for each module which rules and which parameters a call of it concerns."""
        self._rules: dict[int, list[TensorRule]] = {}
        governed: dict[int, Governed] = {}
        targets = [target for block in self._blocks for target in block._targets]
        for target in targets:
            if isinstance(target, TensorRule):
                for module in target.modules:
                    self._rules.setdefault(id(module), []).append(target)
                continue
            for parameter in target.parameters:
                if is_lazy(parameter):
                    raise ValueError(
                        f"rule {target.key!r}: run lazy modules once before the block."
                    )
                own = governed.setdefault(id(parameter), Governed(parameter))
                own.rules.append(target)
        for own in governed.values():
            list(own.variants())  # rows that there are not are told now, and not in backward
        walk = Walk()
        for block in self._blocks:
            walk.visit(block.model, governed)
        self._names, self._sites = walk.names, walk.sites
        self._frames = Frames(walk)
        self.watched = {*self._rules, *self._sites}
        self.compiles = not self._sites

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop, and say if a rule governed nothing."""
        calls.close_block(self)
        self._frames.close_all()
        for block in self._blocks[:-1]:
            block._ran |= self._ran
            block._with_gradient |= self._with_gradient
        self._blocks = []
        if kind is not None or self.allow_unused:
            return
        only_without = self._with_gradient == {False}
        for target in self._targets:
            excused = isinstance(target, ParameterRule) and only_without
            if not target.governed and not excused:
                raise UnusedRuleError(_unused(target, self._ran))

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """A module is about to run: route its input, and put its parameters' aliases in place."""
        self._ran = True
        changed = None
        for rule in self._rules.get(id(module), ()):
            if rule.rule.at == "input":
                changed = self._applied(rule, module, args if changed is None else changed)
        if id(module) in self._sites:
            self._with_gradient.add(torch.is_grad_enabled())
            self._frames.enter(module, args)
        return changed

    def leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """A module has run: tap its output for its parameters, and route it."""
        for rule in self._rules.get(id(module), ()):
            if rule.rule.at == "input" and list(tensors_in(kwargs)):
                named = ", ".join(kwargs)
                self._fail(rule, module, f"at='input' does not see arguments by keyword ({named}).")
        if id(module) in self._sites:
            output = self._frames.leave(module, args, output)
        for rule in self._rules.get(id(module), ()):
            if rule.rule.at == "output" and output is not None:
                output = self._applied(rule, module, output)
        return output

    def _applied(self, rule: TensorRule, module: nn.Module, value: Any) -> Any:
        """Apply a rule; what does not fit is told with the module's name."""
        at_input = rule.rule.at == "input"
        try:
            return rule.applied(module, value)
        except ValueError as error:
            text = str(error)
            self._fail(rule, module, text.replace("output[", "input[") if at_input else text)

    def _fail(self, rule: TensorRule, module: nn.Module, text: str) -> NoReturn:
        """Raise an error that names the rule and the module."""
        name = f"{self._names[module]!r} ({type(module).__name__})"
        raise ValueError(f"rule {rule.key!r}, {name}: {text}") from None


def _unused(target: TensorRule | ParameterRule, ran: bool) -> str:
    """Say why a rule governed nothing, and what to do."""
    if isinstance(target, TensorRule):
        why = "its module was not called, or only in a model that was compiled outside the block"
        todo = "If a parent's forward uses its parameters, give the rule to the parent"
    elif not any(parameter.requires_grad for parameter in target.parameters):
        why = "none of its parameters requires a gradient"
        todo = "Name others"
    else:
        why = (
            "no forward used its parameters, or only in a model that was compiled outside the block"
        )
        todo = "Run the model inside the block" if not ran else "Name others"
    return f"rule {target.key!r} governed nothing: {why}. {todo}, or say allow_unused=True."


def target_of(
    model: nn.Module, key: str, rule: Activations | Parameters | Values
) -> TensorRule | ParameterRule:
    """Find what a rule is for.

    Raises:
        ValueError: if the key names nothing, or a parameter where a module is needed.
    """
    if key.startswith(_ALL_BUT):
        return _all_but(model, key, rule)
    # A module that two parts share has two names, and each is taken.
    named = model.named_modules(remove_duplicate=False)
    modules = [module for name, module in named if fnmatch.fnmatchcase(name, key)]
    own = model.named_parameters(remove_duplicate=False)
    parameters = [parameter for name, parameter in own if fnmatch.fnmatchcase(name, key)]
    if not modules and not parameters:
        raise ValueError(_unknown(model, key))
    if isinstance(rule, Parameters):
        inside = [parameter for module in modules for parameter in module.parameters()]
        if not modules and (rule.output is not None or rule.at == "module"):
            raise ValueError(
                f"{key!r} is a parameter: output= and at='module' need a module's name."
            )
        return ParameterRule(key, rule, modules, list(dict.fromkeys([*parameters, *inside])))
    if not modules:
        raise ValueError(f"{key!r} is a parameter: its rule can only be Parameters(mask).")
    return TensorRule(key, rule, list(dict.fromkeys(modules)))


def _all_but(model: nn.Module, key: str, rule: Activations | Parameters | Values) -> ParameterRule:
    """Find the parameters that a key does not name.

    Raises:
        ValueError: if the rule is about modules, or nothing is left.
    """
    if not isinstance(rule, Parameters) or rule.output is not None or rule.at == "module":
        raise ValueError(
            f"{key!r} is all parameters but some: its rule can only be Parameters(mask)."
        )
    but = target_of(model, key[len(_ALL_BUT) :], rule)
    assert isinstance(but, ParameterRule)
    left_out = set(map(id, but.parameters))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in left_out]
    if not rest:
        raise ValueError(f"{key!r} leaves no parameter: name less.")
    return ParameterRule(key, rule, [], rest)


def _unknown(model: nn.Module, key: str) -> str:
    """Say that a key names nothing, and what it may have meant."""
    modules = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    names = modules + [name for name, _ in model.named_parameters(remove_duplicate=False)]
    near = difflib.get_close_matches(key, names)
    listed = ", ".join(near or modules[:_LISTED])
    more = f" and {len(modules) - _LISTED} more" if not near and len(modules) > _LISTED else ""
    hint = "Did you mean" if near else "There are"
    return f"no submodule or parameter is called {key!r}. {hint}: {listed}{more}."
