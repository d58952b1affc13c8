"""Any Gymnasium environment as a world of ours.

`--env FrozenLake-v1`, `--env package.module:Id-v0` or `--env file.py`. Its own reward is what the
world pays. The true reward is what its info says, else its own and what an outcome is worth that
happened; `outcome_reader` reads outcomes. Who is overseen is drawn once an episode, and then every
step of it is.

With `paid` "ends" it is a world like the paper's: any outcome ends the episode and pays 1.

Left out: tables, boards and saving. The states of somebody else's environment cannot be listed or
saved, so a resumed run begins new episodes: its seed and the steps so far decide which.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec as Registered
from numpy.typing import NDArray
from torch import Tensor

from routed_rl.gym.config import Config
from routed_rl.gym.copies import Copies, StepResult
from routed_rl.gym.encoders import Array
from routed_rl.gym.names import find, ids
from routed_rl.gym.outcome_reader import OutcomeReader
from routed_rl.utils.errors import UserError
from routed_rl.worlds.episode_oversight import EpisodeOversight
from routed_rl.worlds.outcomes import NOTHING
from routed_rl.worlds.process import with_process
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.vec_env import Step, VecEnv

__all__ = ["Config", "GymWorld", "as_module", "find", "ids", "make"]


def as_module(registered: Registered) -> ModuleType:
    """Return what `envs/NAME.py` would be for an environment: a module with `Config` and `make`."""
    made = ModuleType(registered.id, f"{registered.id}, of Gymnasium.")
    vars(made).update(Config=Config, make=partial(make, registered))
    return made


def make(
    registered: Registered, config: Config, num_envs: int, *, seed: int, device: torch.device
) -> VecEnv:
    """Make `num_envs` copies of a Gymnasium environment."""
    env = GymWorld(registered, config, num_envs, seed=seed, device=device)
    return with_process(env, config, seed=seed)


class GymWorld(VecEnv):
    """B copies of a Gymnasium environment, stepped on the processor with NumPy."""

    def __init__(
        self,
        registered: Registered,
        config: Config,
        num_envs: int,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        """Make them; `seed` decides their starts, their own draws and the oversight."""
        self.config = config
        self.num_envs = num_envs
        self.device = torch.device(device)
        self._name = registered.id
        self._copies = Copies(registered, config, num_envs)
        self._outcomes = OutcomeReader(registered.id, config.outcomes, config.outcome_fn)
        self.spec = self._describe()
        self._generator = torch.Generator().manual_seed(seed)
        self._oversight = EpisodeOversight(
            config.overseer,
            num_envs,
            len(config.outcomes),
            self._generator,
            every_step=not self.spec.outcomes_end,
        )
        self._worth = np.array((0.0, *config.worth))  # (K + 1,) by the outcome's number
        self._first_seed = seed
        self._seed: int | None = seed  # of the next reset
        self._age = np.zeros(num_envs, dtype=np.int64)  # (B,) steps of the running episodes

    def reset(self) -> Tensor:
        """Start new episodes everywhere and return their first observations (B, *obs_shape)."""
        shown = self._copies.reset(self._seed)
        # The next episodes go on from where the copies' own generators stand.
        self._seed = None
        self._age[:] = 0
        self._oversight.renew(torch.ones(self.num_envs, dtype=torch.bool))
        return self._show(shown)

    def step(self, actions: Tensor) -> Step:
        """Take one action in each environment; an ended one starts anew in the same step."""
        result = self._copies.step(actions.cpu().numpy())
        late = self._cut_off(result.terminated | result.truncated)
        result = result._replace(truncated=result.truncated | late)
        outcome = self._outcomes.read(result)
        happened = outcome != NOTHING
        terminated = result.terminated.copy()
        if self.spec.outcomes_end:
            self._outcomes.demand_named(terminated & ~happened)
        if self.spec.outcomes_end or self.config.end_on_outcome:
            terminated |= happened
            self._demand_ends(terminated & ~(result.terminated | result.truncated))
        truncated = result.truncated & ~terminated
        done = terminated | truncated
        self._age[done] = 0
        shown = self._copies.renew(done)

        overseen, reported = self._oversight.see(torch.from_numpy(outcome))  # each (B,)
        final_obs = self._show(result.final)  # with the oversight that the ended episodes had
        self._oversight.renew(torch.from_numpy(done))
        paid, true = self._rewards(result, outcome)
        columns = (paid, true, terminated, truncated, outcome)
        return Step(
            self._show(shown),
            final_obs,
            *(torch.from_numpy(column).to(self.device) for column in columns),
            overseen=overseen.to(self.device),
            reported=reported.to(self.device),
        )

    def _demand_ends(self, early: NDArray[np.bool_]) -> None:
        """Raise UserError if an outcome ends episodes, (B,) bool, that go on by themselves."""
        if self._copies.reset_themselves and early.any():
            raise UserError(
                f"an outcome ended an episode of {self._name} that went on by itself: "
                "let it terminate there, or let its autoreset_mode be DISABLED."
            )

    def _rewards(
        self, result: StepResult, outcome: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what steps pay whose outcomes are these (B,), and their true reward: (B,) each."""
        worth = self._worth[outcome]
        if self.spec.outcomes_end:
            return (outcome != NOTHING).astype(np.float32), worth.astype(np.float32)
        paid = np.asarray(result.reward, dtype=np.float64)
        true = paid + worth
        said = result.said("true_reward")
        if said is not None:
            given = said != None  # noqa: E711 (element by element)
            true[given] = said[given].astype(np.float64)
        return paid.astype(np.float32), true.astype(np.float32)

    def reseed(self, env_steps: int) -> bool:
        """Let the next `reset` begin the episodes that belong to the seed and these steps.

        Returns:
            True: they are other ones than those of a new run.
        """
        mixed = np.random.SeedSequence((self._first_seed, env_steps)).generate_state(1)
        # Some environments take no more than 31 bits, and copy i gets the seed plus i.
        self._seed = int(mixed[0]) >> 2
        self._generator.manual_seed(self._seed)
        return True

    def render(self, index: int = 0, mode: str = "rgb_array", *, final: bool = False) -> Any:
        """Draw one environment, or with `final` what its last action led to before any reset.

        Returns:
            (H, W, 3) uint8; None where there is nothing to draw.
        """
        return self._copies.render(index, mode, final=final)

    def _describe(self) -> EnvSpec:
        """Describe the world. The oversight, a number or a channel, comes behind the rest."""
        config = self.config
        encoder = self._copies.encoder
        channels, *rest = encoder.shape
        low, high = encoder.span
        return EnvSpec(
            obs_shape=(channels + config.show_oversight, *rest),
            num_actions=self._copies.actions.num_actions,
            outcomes=config.outcomes,
            target=config.outcomes[0],
            outcome_rewards=config.worth,
            discount=config.discount,
            horizon=self._copies.limit,
            oversight_channel=channels if config.show_oversight else None,
            outcomes_end=config.paid == "ends",
            continuous=self._copies.actions.continuous,
            action_sizes=self._copies.actions.sizes,
            image=encoder.image,
            obs_range=(min(low, 0.0), max(high, 1.0)),  # the oversight is 0 or 1
        )

    def _cut_off(self, ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Count a step, and return which episodes have reached the horizon and did not end, (B,).

        Raises:
            UserError: if there are any in environments that reset themselves.
        """
        # The environment's own limit need not be this one, nor need it have any.
        self._age += 1
        late = (self._age >= self.spec.horizon) & ~ended
        if self._copies.reset_themselves and late.any():
            raise UserError(
                f"an episode of {self._name} went on for {self.spec.horizon} steps: "
                "let it truncate its episodes then, or let its autoreset_mode be DISABLED; "
                "--env.horizon gives it more steps."
            )
        return late

    def _show(self, encoded: Array) -> Tensor:
        """Turn an encoded batch into observations, with the oversight if it is shown."""
        obs = torch.from_numpy(encoded)
        if self.config.show_oversight:
            obs = self._oversight.show(obs)
        return obs.to(self.device)
