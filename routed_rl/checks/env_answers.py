"""The points of a world's contract that one random play shows: its spec and `step`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch

from routed_rl.checks.env_probe import EnvProbe, draw_actions
from routed_rl.rollouts.faults import find_faults
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.process import ProcessConfig


def made(probe: EnvProbe) -> Iterator[str]:
    """Let make(config, num_envs, *, seed, device) take a frozen dataclass with `oversight`."""
    config = type(probe.config)
    is_dataclass = dataclasses.is_dataclass(config)
    if not (is_dataclass and config.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        yield "Config is no frozen dataclass"
    if "oversight" not in [field.name for field in dataclasses.fields(config)]:
        yield "Config has no field oversight"
    env = probe.make(3)
    if env.num_envs != 3:
        yield f"num_envs is {env.num_envs} where 3 were asked for"


def spec(probe: EnvProbe) -> Iterator[str]:
    """Give numbers that are possible, and the target the greatest reward."""
    spec = probe.spec
    if spec.num_actions < 1 or spec.horizon < 1 or not 0.0 <= spec.discount <= 1.0:
        yield (f"num_actions {spec.num_actions}, horizon {spec.horizon}, discount {spec.discount}")
    best = spec.outcome_rewards[spec.outcomes.index(spec.target)]
    if max(spec.outcome_rewards) > best or spec.outcome_rewards.count(best) > 1:
        yield f"{spec.target} is the good outcome and has reward {best}, of {spec.outcome_rewards}"
    channel = spec.oversight_channel
    if channel is not None and not 0 <= channel < spec.obs_shape[0]:
        yield f"there is no channel {channel} in observations {spec.obs_shape}"


def forms(probe: EnvProbe) -> Iterator[str]:
    """Return tensors as the comments of routed_rl.Step say."""
    env = probe.make()
    env.reset()
    env.step(draw_actions(env, torch.Generator()).action)
    env.reset()
    yield from ()


def finite(probe: EnvProbe) -> Iterator[str]:
    """Let there be no NaN and no infinity in observations and rewards."""
    return _broken_rules(probe, "obs", "final_obs", "reward", "true_reward")


def observations(probe: EnvProbe) -> Iterator[str]:
    """Say in EnvSpec.obs_range what an observation can hold, or scale it."""
    low, high = probe.spec.obs_range
    frames = torch.stack((probe.rollout.obs, probe.rollout.final_obs))
    if frames.min() < low or frames.max() > high:
        yield (
            f"obs lies from {frames.min():g} to {frames.max():g}, obs_range is {low:g} to {high:g}"
        )


def auto_reset(probe: EnvProbe) -> Iterator[str]:
    """Give the first frame of a new episode in obs, and the last of the old one in final_obs."""
    rollout = probe.rollout
    done = rollout.done
    if not done.any():
        yield f"no episode ended in {probe.steps} steps"
    after = torch.cat((rollout.obs[1:], rollout.last_obs[None]))
    same = (after == rollout.final_obs).flatten(2).all(dim=2)
    if (~same & ~done).any():
        yield "obs is not final_obs where the episode goes on"
    first = rollout.obs[0][done.nonzero()[:, 1]]
    if same[done].all() and (after[done] != first).any():
        yield "obs after an end is the last frame, not the first of a new episode"


def truncation(probe: EnvProbe) -> Iterator[str]:
    """Truncate in step `horizon` of each episode that does not terminate in it."""
    age = probe.age
    horizon = probe.spec.horizon
    late = age.max().item()
    if late > horizon:
        yield f"an episode is still running in step {late}, the horizon is {horizon}"
    for wrong in age[probe.rollout.truncated & (age != horizon)].tolist():
        yield f"an episode is truncated after {wrong} steps, the horizon is {horizon}"


def outcomes(probe: EnvProbe) -> Iterator[str]:
    """Give outcome 1 to K where it happens, else 0; with outcomes_end just where one terminates."""
    return _broken_rules(probe, "outcome", "truncated")


def rewards(probe: EnvProbe) -> Iterator[str]:
    """Let true_reward at an end be its outcome's entry in outcome_rewards, if outcomes_end."""
    rollout = probe.rollout
    spec = probe.spec
    costs = isinstance(probe.config, ProcessConfig) and probe.config.oversight_cost > 0
    if costs or not spec.outcomes_end:
        return  # what a step is truly worth is for the world to say
    values = torch.tensor((0.0, *spec.outcome_rewards), device=rollout.reward.device)
    said = values[rollout.outcome]
    wrong = rollout.terminated & (rollout.true_reward != said)
    if wrong.any():
        name = spec.outcomes[rollout.outcome[wrong][0] - 1]
        found = rollout.true_reward[wrong][0]
        yield f"{name} gave {found:g}, outcome_rewards says {said[wrong][0]:g}"


def oversight(probe: EnvProbe) -> Iterator[str]:
    """Draw with Oversight(config.oversight), and let its see() say overseen and reported."""
    yield from _broken_rules(probe, "overseen", "reported")
    never = probe.play(probe.make(oversight=0.0))
    if never.overseen.any():
        yield "something is overseen at oversight 0"
    always = probe.play(probe.make(oversight=1.0))
    if (always.outcome != NOTHING).any() and not always.overseen.any():
        yield "nothing is overseen at oversight 1"


def _broken_rules(probe: EnvProbe, *fields: str) -> Iterator[str]:
    """Yield the rules for some fields, of those looked at in training, that random play broke."""
    for fault in find_faults(probe.rollout, probe.spec):
        if fault.field in fields and bool(fault.wrong.any()):
            step, env = fault.wrong.nonzero()[0].tolist()
            rule = fault.remedy.rstrip(".")
            yield f"{fault.field} is wrong in step {step + 1} of environment {env}: {rule}"
