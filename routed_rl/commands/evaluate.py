"""`evaluate`: say what the policies of a run really do."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routed_rl import config, profiles, relearning, steering
from routed_rl.agent import Agent
from routed_rl.assembly import reopen
from routed_rl.config import UserError
from routed_rl.pictures import film
from routed_rl.policy import Policy
from routed_rl.report import show_rows
from routed_rl.run import Run

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
    profiles: bool = False
    """Evaluate a policy for each set of outcomes that may be allowed, made from the experts."""
    relearn: str | None = None
    """Teach the steered or deployed policy, the same with a new head, and a fresh network this outcome: how soon?"""
    json: bool = False
    """Print json instead of a table."""

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}: it must be at least 1.")
        files = {"gif": self.gif, "export": self.export}
        ways = {"profiles": files | {"relearn": self.relearn, "steer": self.steer}, "relearn": files}
        for way, others in ways.items():
            given = [name for name, value in others.items() if value and getattr(self, way)]
            if given:
                raise ValueError(f"{given[0]} was given with {way}: ask for one of them at a time.")


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
    if settings.profiles:
        return _profiles(run, agent, kwargs, as_json=settings.json)
    policies, chosen = agent.policies(), agent.deployed
    if settings.steer:
        chosen = " ".join(settings.steer)
        source = max(policies.values(), key=lambda policy: len(policy.blueprint.experts))
        policies = {chosen: steering.ablate(source, _weights(settings.steer))} | policies
    if settings.relearn is not None:
        return _relearn(run, policies[chosen], chosen, settings.relearn, kwargs, as_json=settings.json)
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
        for file in filter(None, (settings.export, settings.gif)):
            print(f"Wrote {file}, of the policy {chosen}.")
    return 0


def _profiles(run: Run, agent: Agent, kwargs: dict[str, Any], *, as_json: bool) -> int:
    """Print what each profile's policy does."""
    outcomes = run.make_env(1, seed=0).spec.outcomes
    table = profiles.tabulate(
        agent.policies(), agent.deployed, outcomes, lambda good: run.make_evaluator(good=good, **kwargs)
    )
    if as_json:
        print(json.dumps(table, indent=2))
        return 0
    measures = ("return", "allowed", "forbidden", "mean_length")
    rows = {name: [f"{report[measure]:.3f}" for measure in measures] for name, report in table.items()}
    mean = sum(report["return"] for report in table.values()) / len(table)
    show_rows("allowed outcomes, worth 1; all others -1", ("profile", *measures[:-1], "steps"), rows)
    print(f"Mean return over the {len(table)} profiles: {mean:.3f}.")
    if len(agent.policies()) == 1:
        print("This agent has one network: the same policy in every row.")
    return 0


def _relearn(run: Run, policy: Policy, name: str, outcome: str, kwargs: dict[str, Any], *, as_json: bool) -> int:
    """Print how soon a policy, the same with a new head, and a fresh network learn to reach an outcome."""
    outcomes = run.make_env(1, seed=0).spec.outcomes
    if outcome not in outcomes:
        raise UserError(f"there is no outcome {outcome!r}. {config.nearest(outcome, outcomes)}")
    evaluator = run.make_evaluator(good=(outcome,), **kwargs)
    seed, curves = run.settings.seed, {}
    pupils = ((name, policy, False), (f"{name}, new head", policy, True), ("a fresh network", None, False))
    for pupil, start, new_head in pupils:
        print(f"teaching {pupil} ...", file=sys.stderr)
        env = run.make_env(relearning.NUM_ENVS, seed=seed, good=(outcome,))
        curves[pupil] = relearning.relearn(
            start, env, evaluator, like=policy, seed=seed, updates=relearning.UPDATES, new_head=new_head
        )
    if as_json:
        print(json.dumps(curves, indent=2))
        return 0
    rows = {
        f"{pupil}, {measure}": [f"{found[measure]:.3f}" for found in curve.values()]
        for measure in ("reached", "return")
        for pupil, curve in curves.items()
    }
    show_rows(f"taught to reach {outcome}, after so many updates", ("policy", *map(str, relearning.UPDATES)), rows)
    for pupil, curve in curves.items():
        half = relearning.updates_until(curve)
        when = "in fewer than half of the episodes" if half is None else f"in half of them after {half:.0f} updates"
        print(f"{pupil}: {outcome} {when}.")
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
