"""Does an environment keep the contract of `env.py`? Point by point, with the remedy for each fault.

Random play is all that is needed. Where chance could decide (does one environment do what many do?) the difference
must be four standard errors before it counts.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from routed_rl.env import Step
from routed_rl.guard import faults
from routed_rl.rollout import Decision, Rollout, collect
from routed_rl.subject import NUM_ENVS, Subject, ages, draw_actions

SIGMAS = 4.0


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of the contract, and how an environment does on it."""

    name: str
    fault: str  # what was found; empty if the point is kept
    remedy: str

    @property
    def passed(self) -> bool:
        """Whether the contract is kept on this point."""
        return not self.fault


def check(module: ModuleType, config: Any = None, *, device: torch.device | None = None) -> list[Point]:
    """Examine an environment.

    Args:
        module: has `Config` and `make`.
        config: an instance of `Config`; the default one unless given.
        device: where it runs; on the CPU unless given.

    Returns:
        The points of the contract in order. If the first fails there is no second: nothing can be made.
    """
    points = []
    subject = Subject(module, module.Config() if config is None else config, device or torch.device("cpu"))
    for name, examine in POINTS.items():
        try:
            fault = next(iter(examine(subject)), "")
        except Exception as error:  # whatever an environment of somebody else's does
            fault = " ".join(f"{type(error).__name__}: {error}".split())
        points.append(Point(name, fault, examine.__doc__ or ""))
        if points[0].fault:
            break
    return points


def _made(subject: Subject) -> Iterator[str]:
    """Let make(config, num_envs, *, seed, device) take a frozen dataclass Config with a field `oversight`."""
    config = type(subject.config)
    if not (dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        yield "Config is no frozen dataclass"
    if "oversight" not in [field.name for field in dataclasses.fields(config)]:
        yield "Config has no field oversight"
    env = subject.make(3)
    if env.num_envs != 3:
        yield f"num_envs is {env.num_envs} where 3 were asked for"


def _spec(subject: Subject) -> Iterator[str]:
    """Give numbers that can be, and the target the greatest reward."""
    spec = subject.spec
    if spec.num_actions < 1 or spec.horizon < 1 or not 0.0 <= spec.discount <= 1.0:
        yield f"num_actions {spec.num_actions}, horizon {spec.horizon}, discount {spec.discount}"
    best = spec.outcome_rewards[spec.outcomes.index(spec.target)]
    if max(spec.outcome_rewards) > best or spec.outcome_rewards.count(best) > 1:
        yield f"{spec.target} is the good outcome and has reward {best}, of {spec.outcome_rewards}"
    if spec.oversight_plane is not None and not 0 <= spec.oversight_plane < spec.obs_shape[0]:
        yield f"there is no plane {spec.oversight_plane} in observations {spec.obs_shape}"


def _forms(subject: Subject) -> Iterator[str]:
    """Return tensors as the comments of routed_rl.env.Step say."""
    env = subject.make()
    env.reset()
    env.step(draw_actions(env, torch.Generator()).action)
    env.reset()
    yield from ()


def _finite(subject: Subject) -> Iterator[str]:
    """Let there be no NaN and no infinity in observations and rewards."""
    return _broken_rules(subject, "obs", "final_obs", "reward")


def _observations(subject: Subject) -> Iterator[str]:
    """Say in EnvSpec.obs_range what an observation can hold, or scale it."""
    low, high = subject.spec.obs_range
    frames = torch.stack((subject.rollout.obs, subject.rollout.final_obs))
    if frames.min() < low or frames.max() > high:
        yield f"obs lies from {frames.min():g} to {frames.max():g}, obs_range is {low:g} to {high:g}"


def _seeds(subject: Subject) -> Iterator[str]:
    """Draw everything from one generator, made from the seed that make() gets."""
    again, other = subject.play(subject.make()), subject.play(subject.make(seed=1))
    different = _difference(subject.rollout, again)
    if different:
        yield f"{different} differs between two plays with one seed"
    if not _difference(subject.rollout, other):
        yield "two seeds give the same play"


def _auto_reset(subject: Subject) -> Iterator[str]:
    """Give the first frame of a new episode in obs, and the last of the old one in final_obs."""
    rollout, done = subject.rollout, subject.rollout.done
    if not done.any():
        yield f"no episode ended in {subject.steps} steps"
    after = torch.cat((rollout.obs[1:], rollout.last_obs[None]))
    same = (after == rollout.final_obs).flatten(2).all(dim=2)
    if (~same & ~done).any():
        yield "obs is not final_obs where the episode goes on"
    first = rollout.obs[0][done.nonzero()[:, 1]]
    if same[done].all() and (after[done] != first).any():
        yield "obs after an end is the last frame, not the first of a new episode"


def _truncation(subject: Subject) -> Iterator[str]:
    """Truncate in step `horizon` of each episode, unless an outcome is reached."""
    rollout, age, horizon = subject.rollout, subject.age, subject.spec.horizon
    late = age.max().item()
    if late > horizon:
        yield f"an episode is still running in step {late}, the horizon is {horizon}"
    for wrong in age[rollout.truncated & (age != horizon)].tolist():
        yield f"an episode is truncated after {wrong} steps, the horizon is {horizon}"


def _outcomes(subject: Subject) -> Iterator[str]:
    """Terminate where outcome 1 to K is reached, and nowhere else."""
    return _broken_rules(subject, "outcome", "truncated")


def _rewards(subject: Subject) -> Iterator[str]:
    """Reward a terminated episode with its outcome's entry in EnvSpec.outcome_rewards."""
    rollout, spec = subject.rollout, subject.spec
    told = torch.tensor((0.0, *spec.outcome_rewards), device=rollout.reward.device)[rollout.outcome]
    wrong = rollout.terminated & (rollout.reward != told)
    if wrong.any():
        name = spec.outcomes[rollout.outcome[wrong][0] - 1]
        yield f"{name} gave {rollout.reward[wrong][0]:g}, outcome_rewards says {told[wrong][0]:g}"


def _oversight(subject: Subject) -> Iterator[str]:
    """Draw with Oversight(config.oversight), and let its see() say overseen and reported."""
    yield from _broken_rules(subject, "overseen", "reported")
    never, always = (subject.play(subject.make(oversight=p)) for p in (0.0, 1.0))
    if never.overseen.any():
        yield "an end is overseen at oversight 0"
    if always.terminated.any() and not always.overseen.any():
        yield "no end is overseen at oversight 1"


def _kept(subject: Subject) -> Iterator[str]:
    """Return new tensors, never ones that are written to again."""
    env, generator = subject.make(), torch.Generator().manual_seed(0)
    returned = [env.reset(), *env.step(draw_actions(env, generator).action)]
    copies = [value.clone() for value in returned]
    for _ in range(min(subject.steps, 64)):
        env.step(draw_actions(env, generator).action)
    for field, value, copy in zip(("reset", *Step._fields), returned, copies, strict=True):
        if not torch.equal(value, copy):
            yield f"what {field} returned changed later"


def _state(subject: Subject) -> Iterator[str]:
    """Put all that changes into state_dict, as tensors and plain values, or return None."""
    env, other = subject.make(), subject.make(seed=1)
    subject.play(env, 5)
    state = env.state_dict()
    if state is None:
        return
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    other.reset()
    other.load_state_dict(torch.load(file, weights_only=True))
    for step in range(20):
        action = draw_actions(env, torch.Generator().manual_seed(step)).action
        for field, ours, theirs in zip(Step._fields, env.step(action), other.step(action), strict=True):
            if not torch.equal(ours, theirs):
                yield f"{field} differs {step + 1} steps after the state was loaded"


def _alone(subject: Subject) -> Iterator[str]:
    """Let an environment's episodes depend on no other environment and not on how many there are."""
    # Bit by bit if number i of seed s draws as one of seed s + i does, otherwise on average.
    many, singles = subject.rollout, [subject.make(1, seed=i) for i in range(NUM_ENVS)]
    first = [single.reset() for single in singles]
    if torch.equal(torch.cat(first), many.obs[0]):
        for i, single in enumerate(singles):
            zero, actions = torch.zeros(1, device=single.device), many.action[:, i : i + 1].unbind()
            replay = iter([Decision(action, zero, zero) for action in actions])
            one = collect(single, lambda _, replay=replay: next(replay), first[i], len(actions))
            for field in Step._fields:
                if not torch.equal(getattr(one, field)[:, 0], getattr(many, field)[:, i]):
                    yield f"{field} of environment {i} differs from that of one alone"
        return
    one = subject.play(subject.make(1), NUM_ENVS * subject.steps)
    age = ages(one.done)
    measures = {"length": (age[one.done], subject.age[many.done])}
    for k, name in enumerate(subject.spec.outcomes):
        measures[f"share of {name}"] = one.outcome[one.done] == k + 1, many.outcome[many.done] == k + 1
    for name, (here, there) in measures.items():
        if len(here) and len(there):
            alone, among = float(here.double().mean()), float(there.double().mean())
            spread = float(torch.cat((here, there)).double().std(correction=0))
            if abs(alone - among) > SIGMAS * spread * math.sqrt(1 / len(here) + 1 / len(there)):
                yield f"the {name} of episodes is {alone:.3g} in one alone and {among:.3g} in many"


def _model(subject: Subject) -> Iterator[str]:
    """Let model() say what step() does, or return None."""
    model, rollout = subject.make().model(), subject.rollout
    if model is None:
        return
    states = len(model.start_weight)
    if not torch.isclose(model.start_weight.sum().double(), torch.tensor(1.0, dtype=torch.float64), atol=1e-6):
        yield f"start_weight sums to {float(model.start_weight.sum()):g}"
    if model.next_state.min() < 0 or model.next_state.max() >= states:
        yield f"next_state lies outside the {states} states"
    seen: dict[bytes, list[int]] = {}
    for state, frame in enumerate(_bytes(model.observe(torch.arange(states, device=rollout.obs.device)))):
        seen.setdefault(frame, []).append(state)
    for frame in _bytes(rollout.obs[0]):
        if not any(model.start_weight[state] > 0 for state in seen.get(frame, [])):
            yield "an episode starts in a state whose start_weight is 0"
    columns = [values.flatten(0, 1) for values in (rollout.obs, rollout.final_obs)]
    answers = [
        values.flatten().tolist() for values in (rollout.action, rollout.outcome, rollout.terminated, rollout.reward)
    ]
    played = zip(*map(_bytes, columns), *answers, strict=True)
    for before, after, action, outcome, ended, reward in played:
        agrees = [
            state
            for state in seen.get(before, [])
            if model.outcome[state, action] == outcome
            and abs(model.reward[state, action] - reward) < 1e-6
            and (ended or int(model.next_state[state, action]) in seen.get(after, []))
        ]
        if not agrees:
            yield f"action {action} led to outcome {outcome} and reward {reward:g}, and the model says otherwise"


def _render(subject: Subject) -> Iterator[str]:
    """Draw (H, W, 3) uint8, with final=True what the last action led to, or return None."""
    env = subject.make(2)
    env.reset()
    if env.render(1) is None:
        return
    step = env.step(draw_actions(env, torch.Generator().manual_seed(0)).action)
    picture, final = env.render(1), env.render(1, final=True)
    for frame in (picture, final):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != "uint8":
            yield f"render gave {frame.shape} {frame.dtype}"
    if not (step.terminated | step.truncated)[1] and (final != picture).any():
        yield "with final=True an episode that goes on looks different"


def _scenes(subject: Subject) -> Iterator[str]:
    """Give boards in the shapes that routed_rl.env.Scene says, or an empty list."""
    spec = subject.spec
    for scene in subject.make(1).scenes():
        if scene.obs.shape != (len(scene.cells), *spec.obs_shape):
            yield f"obs of {scene.title!r} is {tuple(scene.obs.shape)}"
        if scene.moves.shape != (spec.num_actions, 2):
            yield f"moves of {scene.title!r} are {tuple(scene.moves.shape)}"
        if scene.background.dtype != "uint8":
            yield f"background of {scene.title!r} is {scene.background.dtype}"


POINTS: dict[str, Callable[[Subject], Iterator[str]]] = {
    "can be made": _made,
    "spec": _spec,
    "shapes and dtypes": _forms,
    "finite numbers": _finite,
    "observations": _observations,
    "seed": _seeds,
    "auto-reset": _auto_reset,
    "truncation": _truncation,
    "outcomes": _outcomes,
    "rewards": _rewards,
    "oversight": _oversight,
    "what was returned": _kept,
    "state": _state,
    "one as many": _alone,
    "model": _model,
    "render": _render,
    "scenes": _scenes,
}
"""Each point's name and what yields its faults; that one's docstring is the remedy."""


def _broken_rules(subject: Subject, *fields: str) -> Iterator[str]:
    """Yield the rules for some fields, of those that a guard looks at in training, that random play broke."""
    for field, wrong, rule in faults(subject.rollout, subject.spec):
        if field in fields and bool(wrong.any()):
            step, env = wrong.nonzero()[0].tolist()
            yield f"{field} is wrong in step {step + 1} of environment {env}: {rule.rstrip('.')}"


def _difference(one: Rollout, other: Rollout) -> str:
    """Name a field in which two rollouts differ, if there is one."""
    return next((field for field in Step._fields if not torch.equal(getattr(one, field), getattr(other, field))), "")


def _bytes(frames: Tensor) -> list[bytes]:
    """Return what each of n observations holds, to be looked up by."""
    return [frame.tobytes() for frame in frames.cpu().contiguous().numpy()]
