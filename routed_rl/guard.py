"""A guard around somebody else's environment: what it does wrong is told in one line that says who, when and what.

Shapes and dtypes are looked at in each step, which costs microseconds; values once a rollout, on all its steps
together. Only then is it found out which step was wrong.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from routed_rl.config import UserError
from routed_rl.env import NOTHING, EnvSpec, Model, Scene, Step, VecEnv
from routed_rl.rollout import Decision, Rollout


class ContractError(UserError):
    """An environment or an agent broke its contract."""


@contextmanager
def blame(who: str, part: Any, when: Callable[[], str] = str) -> Iterator[None]:
    """Turn whatever `part` raises into a ContractError of one line.

    Args:
        who: what to call it, such as "environment rooms".
        part: an object, class or module of it; the error is placed in its file.
        when: says where in the run it happened.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ContractError(f"{who}{when()} raised {reason} ({_place(error, part)}): mend it.") from error


class Guarded:
    """A VecEnv that passes on what another one says, if it is what a VecEnv may say."""

    def __init__(self, env: VecEnv, name: str, agent: str = "") -> None:
        """Guard `env`; its name and that of the agent that acts in it are told where they are to blame."""
        self._env, self._who, self._agent = env, f"environment {name}", f"agent {agent}".strip()
        self.env_steps = 0
        self.spec, self.num_envs, self.device = env.spec, env.num_envs, env.device
        frame, number = (torch.Size((env.num_envs, *env.spec.obs_shape)), torch.float32), torch.Size((env.num_envs,))
        self._frame, self._action = frame, (number, torch.int64)
        if env.spec.continuous:
            self._action = torch.Size((env.num_envs, env.spec.num_actions)), torch.float32
        self._form = (
            *(frame, frame, (number, torch.float32), (number, torch.bool), (number, torch.bool)),
            *((number, torch.int64), (number, torch.bool), (number, torch.int64)),
        )

    def reset(self) -> Tensor:
        """Start new episodes."""
        with self._blame("reset"):
            obs = self._env.reset()
        self._demand("obs of reset", obs, self._frame)
        return obs

    def step(self, actions: Tensor) -> Step:
        """Take a step, and look at the shapes and dtypes of what comes."""
        self._demand("action", actions, self._action)
        try:
            step = self._env.step(actions)
        except Exception:
            with self._blame("step"):
                raise
        if type(step) is not Step:
            raise self._error(0, "step", f"is a {type(step).__name__}: return routed_rl.env.Step.")
        for field, value, form in zip(Step._fields, step, self._form, strict=True):
            self._demand(field, value, form)
        self.env_steps += self.num_envs
        return step

    def blame_agent(self, agent: Any, method: str) -> AbstractContextManager[None]:
        """Return a context in which what is raised, but for a ContractError, is the agent's."""
        return blame(self._agent, agent, lambda: f", step {self.env_steps + 1:,}, {method}")

    def check(self, rollout: Rollout) -> None:
        """Look at the values of a rollout that this environment has just played.

        Raises:
            ContractError: naming the first step that is wrong.
        """
        for field, wrong, remedy in faults(rollout, self.spec):
            if not bool(wrong.any()):
                continue
            time, env = wrong.nonzero()[0].tolist()
            values = getattr(rollout, field)
            told = "holds NaN or infinity" if values.is_floating_point() else f"is {values[time, env].item()}"
            offset = (time - len(rollout.reward)) * self.num_envs + env
            raise self._error(offset, field, f"{told}: {remedy}")

    def model(self) -> Model | None:
        """Return its tables."""
        with self._blame("model"):
            return self._env.model()

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment."""
        with self._blame("render"):
            return self._env.render(index, mode, final=final)

    def scenes(self) -> list[Scene]:
        """Return its boards."""
        with self._blame("scenes"):
            return self._env.scenes()

    def state_dict(self) -> dict[str, Any] | None:
        """Return its state."""
        with self._blame("state_dict"):
            return self._env.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        with self._blame("load_state_dict"):
            self._env.load_state_dict(state)

    def _demand(self, field: str, value: Any, form: tuple[torch.Size, torch.dtype]) -> None:
        """Raise unless a value is a tensor of a shape and dtype."""
        if not isinstance(value, Tensor):
            raise self._error(0, field, f"is a {type(value).__name__}: make it a tensor.")
        if value.shape != form[0] or value.dtype != form[1]:
            found = f"{tuple(value.shape)} {value.dtype}".replace("torch.", "")
            wanted = f"{tuple(form[0])} {form[1]}".replace("torch.", "")
            raise self._error(0, field, f"is {found}: make it {wanted}.")

    def _blame(self, method: str) -> AbstractContextManager[None]:
        return blame(self._who, self._env, lambda: f", step {self.env_steps + 1:,}, {method}")

    def _error(self, offset: int, field: str, reason: str) -> ContractError:
        who = self._agent if field in Decision._fields else self._who
        return ContractError(f"{who}, step {self.env_steps + offset + 1:,}, {field} {reason}")


def faults(rollout: Rollout, spec: EnvSpec) -> Iterator[tuple[str, Tensor, str]]:
    """Yield each rule for values that a rollout can break.

    Args:
        rollout: with the truth in it.
        spec: of its environment.

    Yields:
        The field; (T, B) bool, where it is wrong; and the remedy.
    """
    kinds = len(spec.outcomes)
    total = rollout.obs.sum() + rollout.last_obs.sum() + rollout.final_obs.sum() + rollout.reward.sum()
    if not bool(total.isfinite()):
        answered = torch.cat((rollout.obs[1:], rollout.last_obs[None]))
        for field, values in (("obs", answered), ("final_obs", rollout.final_obs), ("reward", rollout.reward)):
            spoilt = ~values.isfinite()
            yield field, spoilt.flatten(2).any(dim=2) if spoilt.dim() > 2 else spoilt, "every number must be finite."
    if not bool((rollout.log_prob.sum() + rollout.value.sum()).isfinite()):
        yield "log_prob", ~rollout.log_prob.isfinite(), "the policy has no distribution any more."
        yield "value", ~rollout.value.isfinite(), "the critic has learnt nonsense."
    ended, outcome, reported = rollout.terminated, rollout.outcome, rollout.reported
    yield "outcome", (outcome < 0) | (outcome > kinds), f"give 0 or the number of an outcome, 1 to {kinds}."
    yield "outcome", ended & (outcome == NOTHING), "an episode that terminated must say which outcome it reached."
    yield "outcome", ~ended & (outcome != NOTHING), "an episode that goes on or was truncated has reached nothing."
    yield "truncated", ended & rollout.truncated, "an episode that terminated was not truncated."
    yield "overseen", rollout.overseen & ~ended, "only an outcome that was reached can be overseen."
    told = rollout.overseen
    yield "reported", told & ((reported < 1) | (reported > kinds)), f"of an overseen outcome report one, 1 to {kinds}."
    yield "reported", ~told & (reported != NOTHING), "report 0 where nothing was overseen."


def _place(error: Exception, part: Any) -> str:
    """Say which line raised: the last one in the file of `part`, else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    try:
        own = inspect.getfile(part if isinstance(part, type | ModuleType) else type(part))
    except (TypeError, OSError):
        own = ""
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(frame.filename).name}:{frame.lineno}"
