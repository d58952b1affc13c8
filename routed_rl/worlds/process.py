"""Oversight as a process: the agent asks for it, it costs something, and it has blind spots.

After Parisi et al., "Monitored Markov Decision Processes" (AAMAS 2024, arXiv 2402.06819): what is
overseen comes of a monitor beside the world, which an agent can switch on at a cost. Their monitor
answers whenever it is asked. Here it answers where the world's own oversight would have looked, so
`oversight` 1 is theirs. It only ever takes oversight away, and shows the policy nothing more. An
overseer that only ever reports what is bad (`one_sided`), or misses some of it (`recall`), is a
detector: the setting of reward hacks in language models.

Left out: monitors with a state of their own, such as a battery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from routed_rl.utils.errors import UserError
from routed_rl.utils.imports import absolute, load_function
from routed_rl.worlds.outcomes import NOTHING, is_bad
from routed_rl.worlds.scene import Scene
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import TabularMDP
from routed_rl.worlds.vec_env import Step, VecEnv
from routed_rl.worlds.wrapper import VecEnvWrapper


@dataclass(frozen=True)
class ProcessConfig:
    """What oversight takes. As these settings are unless given, they change nothing."""

    ask: bool = False
    """Let the overseer look only where the agent asks: every action is there twice, without and
    with asking."""
    oversight_cost: float = 0.0
    """What asking costs; without --env.ask, what each overseen step costs."""
    never: tuple[str, ...] = ()
    """Outcomes that the overseer never sees; it takes their steps for steps without any."""
    where: str | None = None
    """Where the overseer can see, as FILE.py:FUNCTION of observations: a bool or a probability."""
    one_sided: bool = False
    """Report bad outcomes alone, as a detector does: nothing is ever certified as good, and a
    segment without a report may be either."""
    recall: float = 1.0
    """Probability that a bad outcome is reported where the overseer looks; one that it misses is as
    if it had not been looked at, or nothing had happened."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.recall <= 1.0:
            raise ValueError(f"recall is {self.recall}: give a probability from 0 to 1.")
        if not 0.0 <= self.oversight_cost < math.inf:
            raise ValueError(
                f"oversight-cost is {self.oversight_cost}: it must be a number, 0 or above."
            )
        if self.where is not None:
            # With its whole path: a run may be resumed and evaluated from another folder.
            object.__setattr__(self, "where", absolute(self.where))

    @property
    def is_process(self) -> bool:
        """Whether any of these settings changes a world."""
        return self.takes_away or self.oversight_cost > 0

    @property
    def takes_away(self) -> bool:
        """Whether any of them takes oversight away."""
        blind = bool(self.never) or self.where is not None or self.recall < 1
        return self.ask or blind or self.one_sided


def with_process(env: VecEnv, config: ProcessConfig, *, seed: int) -> VecEnv:
    """Wrap a world, if its settings ask for it.

    Args:
        env: the world.
        config: its settings.
        seed: decides the draws where `where` gives probabilities.
    """
    return OversightProcess(env, config, seed=seed) if config.is_process else env


class OversightProcess(VecEnvWrapper):
    """A world in which oversight has to be asked for, costs something, or has blind spots."""

    def __init__(self, env: VecEnv, config: ProcessConfig, *, seed: int) -> None:
        """Wrap `env`.

        Raises:
            UserError: if `never` names none of its outcomes, or there is no function `where`.
        """
        super().__init__(env)
        self.config = config
        self._seed = seed
        if config.ask:
            self.spec = _with_asking(env.spec)
        if config.one_sided:
            self.spec = replace(self.spec, one_sided=True)
        every = torch.arange(1 + len(env.spec.outcomes), device=env.device)
        self._bad = is_bad(every, env.spec.outcome_rewards)  # (K + 1,) bool
        self._blind = _blind(env.spec.outcomes, config.never).to(env.device)  # (K + 1,) bool
        self._where = None if config.where is None else load_function(config.where)
        self._generator = torch.Generator(env.device)
        self._begin(0)

    def step(self, actions: Tensor) -> Step:
        """Step, and take away what the overseer does not see.

        Args:
            actions: (B,) int64, those with asking behind those without; or as of the wrapped world,
                with one more number that asks: 1, or if it is continuous anything above 0.
        """
        asks = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        if self.config.ask:
            actions, asks = self._take_apart(actions)
        step = self.env.step(actions)
        overseen = step.overseen & asks & self._sees(step.final_obs)
        seen = ~self._blind[step.outcome] & ~self._missed(step.outcome)
        if self.config.one_sided:
            # To have looked and said nothing would tell that it was good.
            overseen = overseen & seen & self._bad[step.reported]
        elif self.spec.outcomes_end:
            # Everybody sees that there was an end, so not to see which is not to have looked.
            overseen = overseen & seen
        cost = self.config.oversight_cost * (asks if self.config.ask else overseen)
        return step._replace(
            reward=step.reward - cost,
            true_reward=step.true_reward - cost,
            overseen=overseen,
            # Elsewhere an overseer that sees nothing takes it for nothing: that it did not look
            # would tell that there was something.
            reported=torch.where(overseen & seen, step.reported, NOTHING),
        )

    def model(self) -> TabularMDP | None:
        """Return the tables, those of asking beside them.

        None where a cost depends on who is overseen, which tables do not say.
        """
        model = self.env.model()
        if model is None or not self.config.ask:
            return None if self.config.oversight_cost > 0 else model
        cost = self.config.oversight_cost
        board = model.board
        if board is not None:
            board = replace(board, moves=board.moves.repeat(2, 1))
        return replace(
            model,
            board=board,
            next_state=model.next_state.repeat(1, 2),  # (S, 2 A)
            outcome=model.outcome.repeat(1, 2),
            terminates=model.terminates.repeat(1, 2),
            reward=torch.cat((model.reward, model.reward - cost), dim=1),
            true_reward=torch.cat((model.true_reward, model.true_reward - cost), dim=1),
            # Scripted policies never ask.
            references={
                name: functional.pad(policy, (0, policy.shape[1]))
                for name, policy in model.references.items()
            },
        )

    def scenes(self) -> list[Scene]:
        """Return the boards; who asks moves as who does not."""
        scenes = self.env.scenes()
        if not self.config.ask:
            return scenes
        return [replace(scene, moves=scene.moves.repeat(2, 1)) for scene in scenes]

    def state_dict(self) -> dict[str, Any] | None:
        """Return the wrapped world's state, and that of the draws."""
        state = self.env.state_dict()
        return None if state is None else {"env": state, "sight": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.env.load_state_dict(state["env"])
        self._generator.set_state(state["sight"].cpu())

    def reseed(self, env_steps: int) -> bool:
        """Let the next `reset` begin other episodes, if it can, and draw anew."""
        self._begin(env_steps)
        return self.env.reseed(env_steps)

    def _begin(self, env_steps: int) -> None:
        """Draw from here on by the seed and the steps taken, and not as the world does."""
        mixed = np.random.SeedSequence((self._seed, env_steps, 1)).generate_state(1)
        self._generator.manual_seed(int(mixed[0]))

    def _take_apart(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the world's own actions, and who asks, (B,) bool."""
        if not self.spec.action_shape:
            own = self.env.spec.num_actions
            return actions % own, actions >= own
        return actions[:, :-1], actions[:, -1] > 0

    def _missed(self, outcome: Tensor) -> Tensor:
        """Draw which of outcomes (B,) the overseer misses, (B,) bool."""
        if self.config.recall >= 1:
            return torch.zeros_like(outcome, dtype=torch.bool)
        draws = torch.rand(len(outcome), generator=self._generator, device=self.device)
        return self._bad[outcome] & (draws >= self.config.recall)

    def _sees(self, obs: Tensor) -> Tensor:
        """Say what the overseer can see of observations (B, *obs_shape), (B,) bool."""
        if self._where is None:
            return torch.ones(len(obs), dtype=torch.bool, device=self.device)
        found: Any = self._where(obs)
        if not isinstance(found, Tensor) or found.shape != (len(obs),):
            given = tuple(found.shape) if isinstance(found, Tensor) else repr(found)
            raise UserError(
                f"where {self.config.where} gave {given} for {len(obs)} observations: "
                "let it give a tensor with a bool or a probability for each."
            )
        if found.dtype == torch.bool:
            return found
        return torch.rand(len(obs), generator=self._generator, device=self.device) < found


def _with_asking(spec: EnvSpec) -> EnvSpec:
    """Return a spec with actions that ask."""
    if spec.continuous:
        return replace(spec, num_actions=spec.num_actions + 1)
    if spec.action_sizes:
        sizes = (*spec.action_sizes, 2)
        return replace(spec, num_actions=spec.num_actions + 1, action_sizes=sizes)
    return replace(spec, num_actions=2 * spec.num_actions)


def _blind(outcomes: Sequence[str], never: Sequence[str]) -> Tensor:
    """Say which outcomes the overseer never sees, (K + 1,) bool; it can always see nothing."""
    for name in never:
        if name not in outcomes:
            raise UserError(
                f"never is {name!r}, which is none of the outcomes {', '.join(outcomes)}: "
                "name one or more of them."
            )
    return torch.tensor([False, *(name in never for name in outcomes)])
