"""What a run is made from: names of its environment and agent, and settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from routed_rl.algorithms.config import LearnerConfig
from routed_rl.utils import settings
from routed_rl.utils.imports import absolute, short_name

DEFAULT_ENV = "gridworld"
DEFAULT_AGENT = "routed"

FORMER = {
    "trace": "episode_log",
    "agent.trace": "gae_lambda",
    "agent.clip": "clip_range",
    "agent.entropy": "ent_coef",
    "agent.value": "vf_coef",
    "agent.epochs": "n_epochs",
    "agent.minibatch": "batch_size",
    "agent.told": "conditioned",
}
"""What settings were called before version 0.2: yaml files of older runs go on working."""


Track = Literal["tensorboard", "wandb"]


@dataclass(frozen=True)
class RunSettings:
    """What a run needs beside its environment and its agent."""

    steps: int = 800_000
    """Environment steps to train for; the last rollout may go past it."""
    num_envs: int = 512
    """How many environments are stepped together."""
    seed: int = 0
    """Decides everything random: worlds, weights, actions, evaluation."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    evaluations: int = 20
    """How many times to evaluate on the way, evenly spaced, beside once before it; the last is at
    the end. Where it cannot be exact fewer, but 4, if they could take over a tenth of the steps."""
    episodes: int = 1000
    """Episodes of an evaluation, where it cannot be exact; fewer if they could take over a tenth of
    the steps."""
    good: tuple[str, ...] = ()
    """Outcomes that are good, all others being bad; as the environment says unless given."""
    episode_log: bool = False
    """Write episodes.csv: each outcome and each end, with its label, route and gate."""
    track: Track = "tensorboard"
    """wandb: show the run in Weights & Biases too."""

    def __post_init__(self) -> None:
        least = {"steps": 1, "num_envs": 1, "episodes": 1, "seed": 0, "evaluations": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value < bound:
                flag = name.replace("_", "-")
                raise ValueError(f"{flag} is {value}: it must be at least {bound}.")
        if self.track not in get_args(Track):
            raise ValueError(f"track is {self.track}: give one of {', '.join(get_args(Track))}.")
        if self.seed >= 2**63:
            raise ValueError(f"seed is {self.seed}: it must be below 2 to the power of 63.")


@dataclass(frozen=True)
class RunNames:
    """Which environment and which agent, by name, and where to look for more of them.

    Files have their whole paths: a run may be resumed and evaluated from another folder.
    """

    env: str = DEFAULT_ENV
    agent: str = DEFAULT_AGENT
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", absolute(self.env))
        # One that is given again when a run is resumed counts once.
        plugins = dict.fromkeys(absolute(where) for where in self.plugins)
        object.__setattr__(self, "plugins", tuple(plugins))

    @property
    def env_title(self) -> str:
        """What the environment is called in tables and messages: a file by its stem."""
        return short_name(self.env)


_ASIDE = {"seed", "device", "evaluations", "episodes", "episode_log", "track"}
"""Settings that change nothing of what is learnt, and the seed, which is no choice."""


TITLE_WORDS = 4
"""A title says so many settings that were changed, and how many more there are."""


@dataclass(frozen=True)
class RunConfig:
    """All that a run is made from."""

    names: RunNames
    env: Any
    """The environment's `Config`, which has at least a field `oversight`."""
    agent: LearnerConfig
    settings: RunSettings

    @property
    def title(self) -> str:
        """What the run is called in tables and messages."""
        names = self.names
        title = f"{names.agent} in {names.env_title} at oversight {self.env.oversight:g}"
        flags = list(self._changed_else().items())
        words = [
            settings.word(flag.split(".")[-1], without_folders(value), " ") for flag, value in flags
        ]
        more = len(words) - TITLE_WORDS
        if more > 0:
            words[TITLE_WORDS:] = [f"{more} more"]
        return ", ".join([title, *words, f"seed {self.settings.seed}"])

    def to_plain(self) -> dict[str, Any]:
        """Return names and settings as config.yaml holds them."""
        plain = settings.to_plain(self.settings)
        plain["env"] = {"name": self.names.env} | settings.to_plain(self.env)
        plain["agent"] = {"name": self.names.agent} | settings.to_plain(self.agent)
        plugins = {"plugins": list(self.names.plugins)} if self.names.plugins else {}
        return plain | plugins

    def changed(self) -> dict[str, Any]:
        """Return what sets the run apart: settings that are not as they would be by default.

        Their names are flags without dashes in front. Those of `_ASIDE` are left out.
        """
        flat: dict[str, Any] = {}
        for part, own in (("env", self.env), ("agent", self.agent)):
            flat |= {f"{part}.{name}": x for name, x in _changed(own).items()}
        flat |= {name: x for name, x in _changed(self.settings).items() if name not in _ASIDE}
        return {name.replace("_", "-"): x for name, x in flat.items()}

    def compared(self) -> dict[str, Any]:
        """Return what runs are compared by: what every run has, then what was changed."""
        first = {
            "agent": self.names.agent,
            "env": self.names.env_title,
            "oversight": self.env.oversight,
            "seed": self.settings.seed,
        }
        return first | self._changed_else()

    def _changed_else(self) -> dict[str, Any]:
        """Return what was changed but for the oversight, which every title and table has."""
        return {name: x for name, x in self.changed().items() if name != "env.oversight"}


def without_folders(value: Any) -> Any:
    """Write files among a setting's values without their folders."""
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(short_name(value)).name if isinstance(value, str) else value


def _changed(config: Any) -> dict[str, Any]:
    """Return the settings of a dataclass that differ from their defaults, with dots in names."""
    usual: dict[str, Any] = {}
    for item in fields(config):
        if item.default is not MISSING:
            usual[item.name] = item.default
        elif item.default_factory is not MISSING:
            usual[item.name] = item.default_factory()
    flat = settings.flatten({name: settings.to_plain(x) for name, x in usual.items()})
    there = settings.flatten(settings.to_plain(config))
    return {name: x for name, x in there.items() if name not in flat or flat[name] != x}


def flags_class(env: ModuleType, agent: ModuleType) -> type[RunSettings]:
    """Join the run's settings with those of an environment and an agent: all flags of train."""
    return _joined(env.Config, agent.Config)


@lru_cache(maxsize=64)
def _joined(env: type, agent: type) -> type[RunSettings]:
    """Join dataclasses. A class that is parsed again is looked through no more."""
    parts = [
        (name, own, field(default_factory=own)) for name, own in (("env", env), ("agent", agent))
    ]
    return make_dataclass("Flags", parts, bases=(RunSettings,), frozen=True)


def split(names: RunNames, flags: Any) -> RunConfig:
    """Take apart what was read as an instance of `flags_class`."""
    own = {field.name: getattr(flags, field.name) for field in fields(RunSettings)}
    return RunConfig(names, flags.env, flags.agent, RunSettings(**own))


def renamed(
    plain: Mapping[str, Any], agent_fields: Collection[str] | None = None
) -> dict[str, Any]:
    """Give settings of an older run's yaml file the names that they have now.

    Args:
        plain: as the file holds them.
        agent_fields: of the agent's `Config`; a setting of one of these names is its own, and keeps
            it. None if they are not known.
    """
    found = dict(plain)
    agent = found.get("agent")
    parts: dict[str, dict[str, Any]] = {"": found}
    if isinstance(agent, Mapping):
        found["agent"] = parts["agent"] = dict(agent)
    for former, name in FORMER.items():
        part, _, key = former.rpartition(".")
        section = parts.get(part, {})
        own = agent_fields or ()
        if part == "agent" and (key in own or (agent_fields and name not in own)):
            continue
        if key in section and name not in section:
            items = {name if k == key else k: value for k, value in section.items()}
            section.clear()
            section.update(items)  # in the same order
    return found
