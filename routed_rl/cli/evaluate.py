"""`evaluate`: say what the policies of a run really do."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routed_rl.cli.summary import (
    print_profiles,
    print_relearning,
    print_run,
    title_of,
)
from routed_rl.evaluation import profiles, relearning
from routed_rl.evaluation.pictures import film
from routed_rl.models.export import export
from routed_rl.models.policy import Policy
from routed_rl.models.steering import ablate
from routed_rl.rollouts.checked_world import CheckedWorld
from routed_rl.training.run import Run, load
from routed_rl.utils import machine, settings
from routed_rl.utils.errors import UserError, nearest
from routed_rl.utils.progress import Progress
from routed_rl.utils.settings import split_path
from routed_rl.utils.video import check_film, write_film
from routed_rl.worlds.config import at_oversight, report_rate


@dataclass(frozen=True)
class EvaluateSettings:
    """How to evaluate a run."""

    checkpoint: str = "last"
    """What to evaluate: last, best_by_labels, best_by_truth (which cheats), or a file's path."""
    steer: tuple[str, ...] = ()
    """Weights on experts, such as diamond=1 ghost=0: a policy with all others ablated."""
    episodes: int | None = None
    """Play this many episodes instead of evaluating exactly; with --dial, at each weight under the
    overseer."""
    oversight: float | None = None
    """Evaluate at this probability of oversight instead of the one trained with."""
    greedy: bool = False
    """Take the likeliest action instead of sampling."""
    gif: Path | None = None
    """Write a film of the steered policy, or else of the deployed one: a .gif, or an .mp4 if there
    is ffmpeg."""
    export: Path | None = None
    """Write that policy to a .safetensors or .pt2 file."""
    profiles: bool = False
    """Evaluate a policy for each set of outcomes that may be allowed, made from the experts."""
    relearn: str | None = None
    """Teach this outcome to the steered or deployed policy, also with a new head, and to a fresh
    network: how soon?"""
    dial: bool = False
    """Turn the weight of the unwanted experts from -1 to 1, and choose one by labels alone."""
    weights: tuple[float, ...] = ()
    """With --dial: the weights to try, instead of 21. The smallest should be the safest."""
    flagged_at_most: float | None = None
    """With --dial: how many outcomes per episode may be reported as bad. Unless given, a tenth of
    oversight times recall: so many are if a bad outcome happens in one episode in ten."""
    plot: Path | None = None
    """With --dial: draw it into this .png, .svg or .pdf file."""
    json: bool = False
    """Print json instead of a table."""

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"episodes is {self.episodes}: it must be at least 1.")
        self._check_ways()
        self._check_dial()

    def _check_ways(self) -> None:
        """Raise ValueError if things were asked for that exclude each other."""
        files = {"gif": self.gif, "export": self.export}
        more = files | {"relearn": self.relearn, "steer": self.steer}
        ways = {"profiles": more, "relearn": files, "dial": more | {"profiles": self.profiles}}
        for way, others in ways.items():
            given = [name for name, value in others.items() if value and getattr(self, way)]
            if given:
                raise ValueError(f"{given[0]} was given with {way}: ask for one of them at a time.")

    def _check_dial(self) -> None:
        """Raise ValueError if what belongs to the dial is wrong, or there is no dial."""
        own = {
            "weights": self.weights or None,
            "flagged-at-most": self.flagged_at_most,
            "plot": self.plot,
        }
        for name, value in own.items():
            if value is not None and not self.dial:
                raise ValueError(f"{name} was given without dial: add --dial.")
        for weight in self.weights:
            if not math.isfinite(weight):
                raise ValueError(f"weights has {weight}: give numbers, such as -1 0 1.")
        if self.flagged_at_most is not None and not 0 < self.flagged_at_most < math.inf:
            raise ValueError(
                f"flagged-at-most is {self.flagged_at_most}: it must be a number above 0."
            )

    @property
    def evaluator(self) -> dict[str, Any]:
        """What `Setup.make_evaluator` takes of them."""
        kwargs: dict[str, Any] = {"oversight": self.oversight, "greedy": self.greedy}
        if self.episodes is not None:
            # The dial's are for the overseer: where there are tables the truth stays exact.
            kwargs |= {"episodes": self.episodes, "sampled": not self.dial}
        return kwargs


def evaluate(args: Sequence[str], prog: str = "evaluate.py") -> int:
    """Say what the policies of a run really do."""
    folder, flags = split_path(args)
    description = f"Say what the policies of a run really do.\n\nusage: {prog} RUN_FOLDER [OPTIONS]"
    asked = settings.parse(EvaluateSettings, flags, prog=prog, description=description)
    if folder is None:
        raise UserError(f"no run was given: {prog} RUN_FOLDER [OPTIONS].")
    run = load(folder, asked.checkpoint)
    with machine.few_threads_for(run.deploy()):
        return _answer(run, asked)


def _answer(run: Run, asked: EvaluateSettings) -> int:
    """Do what was asked for of a run."""
    if asked.profiles:
        return _profiles(run, asked)
    if asked.dial:
        return _dial(run, asked)
    policies = run.policies()
    chosen = run.agent.deployed
    if asked.steer:
        chosen = " ".join(asked.steer)
        source = max(policies.values(), key=lambda policy: len(policy.spec.experts))
        policies = {chosen: ablate(source, _weights(asked.steer))} | policies
    if asked.relearn is not None:
        return _relearn(run, policies[chosen], chosen, asked)
    return _evaluate(run, policies, chosen, asked)


def _evaluate(
    run: Run, policies: Mapping[str, Policy], chosen: str, asked: EvaluateSettings
) -> int:
    """Write the files asked for, of the chosen policy, and print what every policy does."""
    evaluator = run.setup.make_evaluator(**asked.evaluator)
    _write_files(run, policies[chosen], chosen, asked)
    reports = evaluator.full(policies)
    if asked.json:
        print(json.dumps({name: report.to_json() for name, report in reports.items()}, indent=2))
    else:
        references = evaluator.references()
        print_run(run, reports, references, oversight=asked.oversight, greedy=asked.greedy)
    for file in filter(None, (asked.export, asked.gif)):
        # Beside json it would be in the way of whoever reads it.
        print(
            f"Wrote {file}, of the policy {chosen}.", file=sys.stderr if asked.json else sys.stdout
        )
    return 0


def _write_files(run: Run, policy: Policy, name: str, asked: EvaluateSettings) -> None:
    """Write the file and the film that were asked for; what is wrong is told before either."""
    for file in (asked.export, asked.gif):
        if file is not None and not file.parent.is_dir():
            raise UserError(f"there is no folder {file.parent} for {file.name}: make it first.")
    if asked.gif is not None:
        check_film(asked.gif)
    if asked.export is not None:
        export(policy, asked.export)
    if asked.gif is not None:
        _film(run, policy, name, asked)


def _film(run: Run, policy: Policy, name: str, asked: EvaluateSettings) -> None:
    """Write a film of a policy.

    Raises:
        UserError: if the environment has no pictures.
    """
    assert asked.gif is not None
    seed = run.setup.config.settings.seed
    names = run.setup.config.names
    env = run.setup.make_env(1, seed=seed, oversight=asked.oversight)
    env = CheckedWorld(env, names.env_title)
    env.reset()  # before that an environment of Gymnasium has nothing to draw
    if env.render() is None:
        raise UserError(
            f"{names.env_title} cannot be drawn: leave --gif out, or give it a render()."
        )
    title = f"{names.agent} in {names.env_title}: {name}"
    frames = film(policy, env, title=title, steps=60, seed=seed, greedy=asked.greedy)
    write_film(asked.gif, frames)


def _profiles(run: Run, asked: EvaluateSettings) -> int:
    """Print what each profile's policy does."""
    policies = run.policies()
    table = profiles.tabulate(
        policies,
        run.agent.deployed,
        run.setup.make_env(1, seed=0).spec.outcomes,
        lambda good: run.setup.make_evaluator(good=good, **asked.evaluator),
    )
    if asked.json:
        print(json.dumps({name: found.to_json() for name, found in table.items()}, indent=2))
        return 0
    print_profiles(run, table)
    return 0


def _dial(run: Run, asked: EvaluateSettings) -> int:
    """Print what the mixture does at each weight of the unwanted experts, and draw it."""
    from routed_rl.cli.dial import check_plot, print_dial
    from routed_rl.evaluation import dial  # scipy takes a second

    if asked.plot is not None:
        check_plot(asked.plot)
    rate = report_rate(at_oversight(run.setup.config.env, asked.oversight))
    bound = asked.flagged_at_most or dial.TOLERATED * rate
    if bound == 0:
        raise UserError("oversight is 0, so nothing is ever flagged: give --oversight above 0.")
    points = dial.turn(
        run.policies(),
        run.agent.deployed,
        run.setup.make_evaluator(**asked.evaluator),
        weights=asked.weights or dial.WEIGHTS,
        episodes=asked.episodes or dial.EPISODES,
    )
    dialled = dial.Dial(points, bound)
    if asked.plot is not None:
        from routed_rl.experiments.dial_figure import draw_dial  # matplotlib takes a second

        draw_dial(dialled, asked.plot, title_of(run, asked.oversight))
    if asked.json:
        print(json.dumps(dialled.to_json(), indent=2))
        return 0
    print_dial(dialled, title_of(run, asked.oversight))
    if asked.plot is not None:
        print(f"Wrote {asked.plot}.")
    return 0


def _relearn(run: Run, policy: Policy, name: str, asked: EvaluateSettings) -> int:
    """Print how soon a policy, the same with a new head, and a fresh network reach an outcome."""
    outcome = asked.relearn or ""
    outcomes = run.setup.make_env(1, seed=0).spec.outcomes
    if outcome not in outcomes:
        raise UserError(f"there is no outcome {outcome!r}. {nearest(outcome, outcomes)}")
    pupils = {
        name: relearning.Pupil(policy),
        f"{name}, new head": relearning.Pupil(policy, new_head=True),
        "a fresh network": relearning.Pupil(policy, fresh=True),
    }
    evaluator = run.setup.make_evaluator(good=(outcome,), **asked.evaluator)
    seed = run.setup.config.settings.seed
    curves = {}
    with Progress("teaching", len(pupils) * max(relearning.UPDATES), "updates") as progress:
        for called, pupil in pupils.items():
            env = run.setup.make_env(relearning.NUM_ENVS, seed=seed, good=(outcome,))
            curves[called] = relearning.relearn(
                pupil,
                env,
                evaluator,
                seed=seed,
                updates=relearning.UPDATES,
                tell=progress.advance,
            )
    if asked.json:
        print(json.dumps(curves, indent=2))
    else:
        print_relearning(run, outcome, curves)
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
            raise UserError(
                f"cannot read --steer {pair!r}: write name=weight, such as diamond=1."
            ) from None
    return weights
