"""A wrapper that holds a world, and the agent that acts in it, to the contract.

What is done wrong is told in one line that says who, when and what. Shapes and dtypes are looked at
in each step, which costs microseconds; values once a rollout, on all its steps together. Only then
is it found out which step was wrong.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from routed_rl.rollouts.attribution import ContractError, attribute_errors
from routed_rl.rollouts.faults import find_faults
from routed_rl.rollouts.rollout import Decision, Rollout
from routed_rl.worlds.scene import Scene
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper

_OLD_STEP = (
    "returned no true_reward: this world was written for version 0.2. Let Step's reward be what "
    "the world pays (terminated.float() if any end pays), its true_reward what reward was, and "
    "give EnvSpec outcomes_end=True."
)


class _Form(NamedTuple):
    """The shape and dtype that a tensor must have."""

    shape: torch.Size
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{tuple(self.shape)} {self.dtype}".replace("torch.", "")


class CheckedWorld(VecEnvWrapper):
    """A VecEnv that passes on what another one says, if it is what a VecEnv may say."""

    def __init__(self, env: VecEnv, name: str, agent: str = "") -> None:
        """Check `env`; its name and that of the agent that acts in it are for the errors."""
        super().__init__(env)
        self._who = f"environment {name}"
        self._agent = f"agent {agent}".strip()
        self.steps_before = 0
        """Environment steps of the run before the running rollout."""
        self._steps_since = 0
        self._frame, self._action, self._answer = _forms(env.spec, env.num_envs)

    @property
    def env_steps(self) -> int:
        """Environment steps of the run, those of the running rollout included."""
        return self.steps_before + self._steps_since

    def begin_rollout(self, env_steps: int) -> None:
        """Say how many environment steps the run has, before another rollout."""
        self.steps_before = env_steps
        self._steps_since = 0

    def reset(self) -> Tensor:
        """Start new episodes."""
        with self._attributed("reset"):
            obs = self.env.reset()
        self._demand("obs of reset", obs, self._frame)
        return obs

    def step(self, actions: Tensor) -> Step:
        """Take a step, and look at the shapes and dtypes of what comes."""
        self._demand("action", actions, self._action)
        try:  # a context manager in each step would cost more than the check
            step = self.env.step(actions)
        except (Exception, SystemExit) as error:
            if isinstance(error, TypeError) and "Step.__new__() missing" in str(error):
                raise self._error(0, "step", _OLD_STEP) from error
            with self._attributed("step"):
                raise
        if type(step) is not Step:
            raise self._error(0, "step", f"is a {type(step).__name__}: return routed_rl.Step.")
        for field, value in step._asdict().items():
            self._demand(field, value, self._answer[field])
        self._steps_since += self.num_envs
        return step

    def attributed_to_agent(self, agent: Any, method: str) -> AbstractContextManager[None]:
        """Return a context in which what is raised, but for a ContractError, is the agent's."""
        return attribute_errors(self._agent, agent, lambda: self._when(method))

    def check(self, rollout: Rollout) -> None:
        """Look at the values of a rollout that this world has just played.

        Raises:
            ContractError: naming the first step that is wrong.
        """
        for fault in find_faults(rollout, self.spec):
            if not bool(fault.wrong.any()):
                continue
            time, env = fault.wrong.nonzero()[0].tolist()
            values = getattr(rollout, fault.field)
            if values.is_floating_point():
                found = "holds NaN or infinity"
            else:
                found = f"is {values[time, env].item()}"
            offset = (time - len(rollout.reward)) * self.num_envs + env
            raise self._error(offset, fault.field, f"{found}: {fault.remedy}")

    def model(self) -> TabularMDP | None:
        """Return its tables."""
        with self._attributed("model"):
            return super().model()

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment."""
        with self._attributed("render"):
            return super().render(index, mode, final=final)

    def scenes(self) -> list[Scene]:
        """Return its boards."""
        with self._attributed("scenes"):
            return super().scenes()

    def state_dict(self) -> dict[str, Any] | None:
        """Return its state."""
        with self._attributed("state_dict"):
            return super().state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        with self._attributed("load_state_dict"):
            super().load_state_dict(state)

    def _demand(self, field: str, value: Any, form: _Form) -> None:
        """Raise unless a value is a tensor of a shape and dtype."""
        if not isinstance(value, Tensor):
            raise self._error(0, field, f"is a {type(value).__name__}: make it a tensor.")
        if value.shape != form.shape or value.dtype != form.dtype:
            found = _Form(value.shape, value.dtype)
            raise self._error(0, field, f"is {found}: make it {form}.")

    def _attributed(self, method: str) -> AbstractContextManager[None]:
        return attribute_errors(self._who, self.env, lambda: self._when(method))

    def _when(self, method: str) -> str:
        return f", step {self.env_steps + 1:,}, {method}"

    def _error(self, offset: int, field: str, reason: str) -> ContractError:
        who = self._agent if field in Decision._fields else self._who
        return ContractError(f"{who}, step {self.env_steps + offset + 1:,}, {field} {reason}")


def _forms(spec: EnvSpec, num_envs: int) -> tuple[_Form, _Form, dict[str, _Form]]:
    """Return the forms of an observation, of actions, and of each field of a `Step`."""
    batch = torch.Size((num_envs,))
    frame = _Form(torch.Size((num_envs, *spec.obs_shape)), torch.float32)
    action = _Form(torch.Size((num_envs, *spec.action_shape)), spec.action_dtype)
    flag = _Form(batch, torch.bool)
    number = _Form(batch, torch.int64)
    answer = {
        "obs": frame,
        "final_obs": frame,
        "reward": _Form(batch, torch.float32),
        "true_reward": _Form(batch, torch.float32),
        "terminated": flag,
        "truncated": flag,
        "outcome": number,
        "overseen": flag,
        "reported": number,
    }
    return frame, action, answer
