"""Does a world keep its contract? Point by point, with the remedy for each fault.

Random play is all that is needed. The tests of our own worlds are these same points.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from routed_rl.checks import env_answers, env_extras, env_repeats
from routed_rl.checks.env_probe import EnvProbe
from routed_rl.checks.result import CheckResult, Points, examine

POINTS: Points[EnvProbe] = {
    "can be made": env_answers.made,
    "spec": env_answers.spec,
    "shapes and dtypes": env_answers.forms,
    "finite numbers": env_answers.finite,
    "observations": env_answers.observations,
    "seed": env_repeats.seeds,
    "auto-reset": env_answers.auto_reset,
    "truncation": env_answers.truncation,
    "outcomes": env_answers.outcomes,
    "rewards": env_answers.rewards,
    "oversight": env_answers.oversight,
    "what was returned": env_repeats.kept,
    "state": env_repeats.state,
    "one as many": env_repeats.alone,
    "model": env_extras.model,
    "render": env_extras.render,
    "scenes": env_extras.scenes,
}
"""The points of the contract, in order."""


def check_env(
    module: ModuleType, config: Any = None, *, device: torch.device | None = None
) -> list[CheckResult]:
    """Examine a world.

    Args:
        module: has `Config` and `make`.
        config: an instance of `Config`; the default one unless given.
        device: where it runs; on the CPU unless given.

    Returns:
        The points of the contract in order. If the first fails there is no second.
    """
    config = module.Config() if config is None else config
    return examine(EnvProbe(module, config, device or torch.device("cpu")), POINTS)
