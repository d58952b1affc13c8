"""What a rule is for: the modules or parameters that its key names."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from routed_rl.routing.learning import ParameterRule
from routed_rl.routing.outputs import Place, changed
from routed_rl.routing.rules import Activations, Parameters, Values

_LISTED = 12
"""How many names an error lists at most."""


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


def target_of(
    model: nn.Module, key: str, rule: Activations | Parameters | Values
) -> TensorRule | ParameterRule:
    """Find what a rule is for.

    Raises:
        ValueError: if the key names nothing, or a parameter where a module is needed.
    """
    # A module that two parts share has two names, and each is taken.
    named = model.named_modules(remove_duplicate=False)
    modules = [module for name, module in named if fnmatch.fnmatchcase(name, key)]
    own = model.named_parameters(remove_duplicate=False)
    parameters = [parameter for name, parameter in own if fnmatch.fnmatchcase(name, key)]
    if not modules and not parameters:
        raise ValueError(_unknown(model, key))
    if isinstance(rule, Parameters):
        inside = [parameter for module in modules for parameter in module.parameters()]
        return ParameterRule(key, rule, list(dict.fromkeys([*parameters, *inside])))
    if not modules:
        raise ValueError(f"{key!r} is a parameter: its rule can only be Parameters(mask).")
    return TensorRule(key, rule, list(dict.fromkeys(modules)))


def _unknown(model: nn.Module, key: str) -> str:
    """Say that a key names nothing, and what it may have meant."""
    modules = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    names = modules + [name for name, _ in model.named_parameters(remove_duplicate=False)]
    near = difflib.get_close_matches(key, names, n=3)
    listed = ", ".join(near or modules[:_LISTED])
    more = f" and {len(modules) - _LISTED} more" if not near and len(modules) > _LISTED else ""
    hint = "Did you mean" if near else "There are"
    return f"no submodule or parameter is called {key!r}. {hint}: {listed}{more}."
