"""The points of a world's contract that are optional: tables, pictures and boards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from routed_rl.checks.env_probe import EnvProbe, draw_actions
from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.tables import TabularMDP


def model(probe: EnvProbe) -> Iterator[str]:
    """Give tables that do what step() does, or None."""
    model = probe.make().model()
    if model is None:
        return
    states = len(model.start_probability)
    total = float(model.start_probability.double().sum())
    if abs(total - 1.0) > 1e-5:
        yield f"start_probability sums to {total:g}"
    if model.next_state.min() < 0 or model.next_state.max() >= states:
        yield f"next_state lies outside the {states} states"
    device = probe.rollout.obs.device
    showing: dict[bytes, list[int]] = defaultdict(list)  # what is seen -> states that look so
    for number, frame in enumerate(_bytes(model.observe(torch.arange(states, device=device)))):
        showing[frame].append(number)
    for frame in _bytes(probe.rollout.obs[0]):
        if not any(model.start_probability[number] > 0 for number in showing.get(frame, [])):
            yield "an episode starts in a state whose start_probability is 0"
    for played in dict.fromkeys(_played(probe.rollout)):  # each once, in order
        after = set(showing.get(played.after, []))
        if not any(_agrees(model, s, played, after) for s in showing.get(played.before, [])):
            yield (
                f"action {played.action} led to outcome {played.outcome}, reward {played.reward:g} "
                f"and true reward {played.true_reward:g}, and the model says otherwise"
            )


def render(probe: EnvProbe) -> Iterator[str]:
    """Draw (H, W, 3) uint8, with final=True what the last action led to, or return None."""
    env = probe.make(2)
    env.reset()
    if env.render(1) is None:
        return
    step = env.step(draw_actions(env, torch.Generator().manual_seed(0)).action)
    picture = env.render(1)
    final = env.render(1, final=True)
    for frame in (picture, final):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != "uint8":
            yield f"render gave {frame.shape} {frame.dtype}"
    if not (step.terminated | step.truncated)[1] and (final != picture).any():
        yield "with final=True an episode that goes on looks different"


def scenes(probe: EnvProbe) -> Iterator[str]:
    """Give boards in the shapes that routed_rl.Scene says, or an empty list."""
    spec = probe.spec
    for scene in probe.make(1).scenes():
        if scene.obs.shape != (len(scene.cells), *spec.obs_shape):
            yield f"obs of {scene.title!r} is {tuple(scene.obs.shape)}"
        if scene.moves.shape != (spec.num_actions, 2):
            yield f"moves of {scene.title!r} are {tuple(scene.moves.shape)}"
        if scene.background.dtype != "uint8":
            yield f"background of {scene.title!r} is {scene.background.dtype}"


class _Played(NamedTuple):
    """A step of one environment."""

    before: bytes
    after: bytes
    action: int
    outcome: int
    ended: bool
    reward: float
    true_reward: float


def _played(rollout: Rollout) -> Iterator[_Played]:
    """Yield each step of a rollout."""
    columns = (
        *(rollout.action, rollout.outcome, rollout.terminated),
        *(rollout.reward, rollout.true_reward),
    )
    return map(
        _Played,
        _bytes(rollout.obs.flatten(0, 1)),
        _bytes(rollout.final_obs.flatten(0, 1)),
        *(column.flatten().tolist() for column in columns),
    )


def _agrees(model: TabularMDP, state: int, played: _Played, after: set[int]) -> bool:
    """Say whether the tables of a state tell what was played, and the frame that came after."""
    action = played.action
    return bool(
        model.outcome[state, action] == played.outcome
        and model.terminates[state, action] == played.ended
        and abs(model.reward[state, action] - played.reward) < 1e-6
        and abs(model.true_reward[state, action] - played.true_reward) < 1e-6
        and (played.ended or int(model.next_state[state, action]) in after)
    )


def _bytes(frames: Tensor) -> list[bytes]:
    """Return what each of n observations holds, to be looked up by."""
    return [frame.tobytes() for frame in frames.cpu().contiguous().numpy()]
