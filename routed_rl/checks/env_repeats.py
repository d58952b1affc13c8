"""The points of a world's contract that only several plays show: seeds, state, and many as one.

Where chance could decide (does one environment do what many do?) the difference must be four
standard errors before it counts.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from routed_rl.checks.env_probe import NUM_ENVS, EnvProbe, ages, draw_actions
from routed_rl.rollouts.rollout import Decision, Rollout, collect
from routed_rl.worlds.vec_env import Step

SIGMAS = 4.0


def seeds(probe: EnvProbe) -> Iterator[str]:
    """Draw everything from one generator, made from the seed that make() gets."""
    different = _difference(probe.rollout, probe.play(probe.make()))
    if different:
        yield f"{different} differs between two plays with one seed"
    if not _difference(probe.rollout, probe.play(probe.make(seed=1))):
        yield "two seeds give the same play"


def kept(probe: EnvProbe) -> Iterator[str]:
    """Return new tensors, never ones that are written to again."""
    env = probe.make()
    generator = torch.Generator().manual_seed(0)
    first = env.reset()
    returned = [first, *env.step(draw_actions(env, generator).action)]
    copies = [value.clone() for value in returned]
    for _ in range(min(probe.steps, 64)):
        env.step(draw_actions(env, generator).action)
    for field, value, copy in zip(("reset", *Step._fields), returned, copies, strict=True):
        if not torch.equal(value, copy):
            yield f"what {field} returned changed later"


def state(probe: EnvProbe) -> Iterator[str]:
    """Put all that changes into state_dict, as tensors and plain values, or return None."""
    env = probe.make()
    probe.play(env, 5)
    state = env.state_dict()
    if state is None:
        return
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    other = probe.make(seed=1)
    other.reset()
    other.load_state_dict(torch.load(file, weights_only=True))
    for number in range(20):
        action = draw_actions(env, torch.Generator().manual_seed(number)).action
        answers = zip(Step._fields, env.step(action), other.step(action), strict=True)
        for field, ours, theirs in answers:
            if not torch.equal(ours, theirs):
                yield f"{field} differs {number + 1} steps after the state was loaded"


def alone(probe: EnvProbe) -> Iterator[str]:
    """Let an environment's episodes depend on no other one and not on how many there are."""
    # Bit by bit if number i of seed s draws as one of seed s + i does, otherwise on average.
    singles = [probe.make(1, seed=i) for i in range(NUM_ENVS)]
    first = [single.reset() for single in singles]
    if not torch.equal(torch.cat(first), probe.rollout.obs[0]):
        yield from _alone_on_average(probe)
        return
    for i, single in enumerate(singles):
        zero = torch.zeros(1, device=single.device)
        actions = probe.rollout.action[:, i : i + 1].unbind()
        replay = iter([Decision(action, zero, zero) for action in actions])

        def act(_obs: Tensor, replay: Iterator[Decision] = replay) -> Decision:
            return next(replay)

        one = collect(single, act, first[i], len(actions))
        for field in Step._fields:
            if not torch.equal(getattr(one, field)[:, 0], getattr(probe.rollout, field)[:, i]):
                yield f"{field} of environment {i} differs from that of one alone"


def _alone_on_average(probe: EnvProbe) -> Iterator[str]:
    """Compare lengths and outcomes of one environment's episodes with those of many."""
    one = probe.play(probe.make(1), NUM_ENVS * probe.steps)
    here = _episodes(one, ages(one.done), probe.spec.outcomes)
    there = _episodes(probe.rollout, probe.age, probe.spec.outcomes)
    for name, values in here.items():
        others = there[name]
        if not len(values) or not len(others):
            continue
        mean = float(values.double().mean())
        among = float(others.double().mean())
        spread = float(torch.cat((values, others)).double().std(correction=0))
        error = spread * math.sqrt(1 / len(values) + 1 / len(others))
        if abs(mean - among) > SIGMAS * error:
            yield f"the {name} is {mean:.3g} in one alone and {among:.3g} in many"


def _episodes(rollout: Rollout, age: Tensor, outcomes: tuple[str, ...]) -> Mapping[str, Tensor]:
    """Return the lengths of episodes that ended, and of each step whether an outcome happened."""
    shares = {f"share of {name}": rollout.outcome == k + 1 for k, name in enumerate(outcomes)}
    shares = {name: happened.flatten() for name, happened in shares.items()}
    return {"length": age[rollout.done]} | shares


def _difference(one: Rollout, other: Rollout) -> str:
    """Name a field in which two rollouts differ, if there is one."""
    for field in Step._fields:
        if not torch.equal(getattr(one, field), getattr(other, field)):
            return field
    return ""
