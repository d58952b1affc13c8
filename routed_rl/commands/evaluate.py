"""`evaluate`: say what the policies of a run really do."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routed_rl import config, steering
from routed_rl.assembly import reopen
from routed_rl.config import UserError
from routed_rl.pictures import film

from ._result import show_result


@dataclass(frozen=True)
class EvaluateSettings:
    """How to evaluate a run."""

    steer: tuple[str, ...] = ()
    """Weights on experts, such as diamond=1 ghost=0: a policy with all others ablated."""
    episodes: int | None = None
    """Play this many episodes instead of evaluating exactly."""
    oversight: float | None = None
    """Evaluate at this probability of oversight instead of the one trained with."""
    greedy: bool = False
    """Take the likeliest action instead of sampling."""
    gif: Path | None = None
    """Write a film of the steered policy, or else of the deployed one."""
    export: Path | None = None
    """Write that policy to a .safetensors or .pt2 file."""
    json: bool = False
    """Print json instead of a table."""

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}: it must be at least 1.")


def evaluate(args: Sequence[str], prog: str = "evaluate.py") -> int:
    """Say what the policies of a run really do."""
    folder = args[0] if args and not args[0].startswith("-") else None
    description = f"Say what the policies of a run really do.\n\nusage: {prog} RUN_FOLDER [OPTIONS]"
    settings = config.parse(EvaluateSettings, args[1:] if folder else args, prog=prog, description=description)
    if folder is None:
        raise UserError(f"no run was given: {prog} RUN_FOLDER [OPTIONS].")
    run, agent = reopen(Path(folder), prog)
    kwargs: dict[str, Any] = {"oversight": settings.oversight, "greedy": settings.greedy}
    if settings.episodes is not None:
        kwargs |= {"episodes": settings.episodes, "sampled": True}
    evaluator = run.make_evaluator(**kwargs)
    policies, chosen = agent.policies(), agent.deployed
    if settings.steer:
        chosen = " ".join(settings.steer)
        source = max(policies.values(), key=lambda policy: len(policy.blueprint.experts))
        policies = {chosen: steering.ablate(source, _weights(settings.steer))} | policies
    for file in (settings.export, settings.gif):
        if file is not None and not file.parent.is_dir():
            raise UserError(f"there is no folder {file.parent} for {file.name}: make it first.")
    if settings.gif is not None and settings.gif.suffix != ".gif":
        raise UserError(f"cannot write a film to {settings.gif.name!r}: end the name in .gif.")
    if settings.export is not None:
        steering.export(policies[chosen], settings.export)
    if settings.gif is not None:
        env = run.make_env(1, seed=run.settings.seed, oversight=settings.oversight)
        if env.render() is None:
            raise UserError(f"{run.choice.env} cannot be drawn: leave --gif out, or give it a render().")
        film(policies[chosen], env, settings.gif, steps=60, seed=run.settings.seed, greedy=settings.greedy)
    reports = evaluator.full(policies)
    if settings.json:
        print(json.dumps(reports, indent=2))
    else:
        show_result(run, agent, evaluator, reports, oversight=settings.oversight, greedy=settings.greedy)
    return 0


def _weights(pairs: Sequence[str]) -> dict[str, float]:
    """Read expert weights written as name=weight."""
    weights = {}
    for pair in pairs:
        name, _, weight = pair.partition("=")
        try:
            weights[name] = float(weight)
            if not math.isfinite(weights[name]):
                raise ValueError
        except ValueError:
            raise UserError(f"cannot read --steer {pair!r}: write name=weight, such as diamond=1.") from None
    return weights
