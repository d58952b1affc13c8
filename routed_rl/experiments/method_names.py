"""Names for the worlds and methods of runs: what sets each apart from the runs it is compared with.

A setting goes unsaid where it is the usual one: the commonest among the runs of its environment or
its agent, or for a few switches the one that is not asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from routed_rl.gym.lookup import GYMNASIUM
from routed_rl.registry import Kind, Registry
from routed_rl.utils import settings as run_settings
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import demand
from routed_rl.utils.imports import absolute, short_name

SWITCHES: Mapping[tuple[str, ...], Any] = {
    ("agent.hide_oversight",): False,
    ("agent.gate",): True,
    ("agent.routes", "routed"): "label",
    ("agent.routes", "absorbing"): "none",
}
"""Setting, and agent if it is one's only -> its usual value, however common another one is."""
WORDS = {"agent.hide_oversight True": "oversight hidden", "agent.gate False": "gate off"}
"""Setting and value -> how it is said."""


class Names(NamedTuple):
    """What a run is called in tables and figures."""

    world: str
    method: str


def name_runs(runs: Sequence[Mapping[str, Any]]) -> list[Names]:
    """Name the world and the method of each run.

    Args:
        runs: settings of each, as `builder.settings_of` gives them.
    """
    described = [_describe(settings) for settings in runs]
    usual = _usual(described)
    titles = _titles(described)
    return [_name(run, usual, titles) for run in described]


def demand_names(settings: Mapping[str, Any]) -> None:
    """Demand that settings have what names a run.

    Raises:
        KeyError, ValueError: if something is missing, or of another kind.
    """
    demand(settings, {"env": dict, "agent": dict})
    demand(settings["env"], {"name": str, "oversight": float})
    demand(settings["agent"], {"name": str})


class _Peers(NamedTuple):
    """A setting, and the runs among which its commonest value is looked for."""

    setting: str
    owner: str  # the environment or the agent whose setting it is
    at: tuple[Any, ...] = ()  # what else the runs have in common


@dataclass(frozen=True)
class _Run:
    """The settings of a run that may name it."""

    env: str
    agent: str
    oversight: float
    values: Mapping[str, Any]
    """Setting, with a dot if it is the environment's or the agent's own -> value."""

    def peers(self, setting: str) -> _Peers:
        """Return with which runs a setting is compared."""
        if setting == "steps":
            # More oversight may need more steps: that is no method of its own.
            return _Peers(setting, self.env, (self.agent, self.oversight))
        if _of_world(setting):
            return _Peers(setting, self.env)
        # Runs in another environment are no rivals: all methods there may have another setting.
        return _Peers(setting, self.agent, (self.env,))


def _describe(settings: Mapping[str, Any]) -> _Run:
    """Take from a run's settings those that make a method or a world what it is."""
    values: dict[str, Any] = {
        "num_envs": settings.get("num_envs"),
        "steps": settings.get("steps"),
        "good": settings.get("good", []),
    }
    for part in ("env", "agent"):
        for name, value in settings[part].items():
            if name not in ("name", "oversight"):
                # An older run has a file's path as it was given.
                values[f"{part}.{name}"] = absolute(value) if isinstance(value, str) else value
    env = settings["env"]
    return _Run(absolute(env["name"]), settings["agent"]["name"], env["oversight"], values)


def _usual(runs: Sequence[_Run]) -> dict[_Peers, Any]:
    """Find the value of each setting that goes unsaid."""
    found: dict[_Peers, list[Any]] = defaultdict(list)
    for run in runs:
        for setting, value in run.values.items():
            found[run.peers(setting)].append(value)
    usual: dict[_Peers, Any] = {}
    for peers, values in found.items():
        usual[peers] = max(values, key=values.count)  # the first of several that are as common
        if any(_lacks(run, peers) for run in runs):
            # An older run: it had the default of a newer setting, so that is the usual value.
            usual[peers] = _default(peers, usual[peers])
        for known in ((peers.setting,), (peers.setting, peers.owner)):
            usual[peers] = SWITCHES.get(known, usual[peers])
    return usual


def _lacks(run: _Run, peers: _Peers) -> bool:
    """Return whether a run is compared by a setting that it does not have."""
    return peers.setting not in run.values and run.peers(peers.setting) == peers


def _default(peers: _Peers, commonest: Any) -> Any:
    """Return the default of a setting, as config.yaml holds it; the commonest if it is unknown."""
    part, _, name = peers.setting.partition(".")
    if not name:
        return commonest
    return _defaults("envs" if part == "env" else "agents", peers.owner).get(name, commonest)


@cache
def _defaults(kind: Kind, name: str) -> Mapping[str, Any]:
    """Return the default settings of an environment or an agent; none if it is not there now."""
    try:
        return run_settings.to_plain(Registry((), GYMNASIUM).load(kind, name).Config())
    except (UserError, AttributeError, TypeError, ValueError):
        return {}


def _titles(runs: Sequence[_Run]) -> dict[str, str]:
    """Call each file by its stem, after as many of its folders as tell it from the others."""
    texts = {run.env for run in runs}
    texts |= {value for run in runs for value in run.values.values() if isinstance(value, str)}
    titles = {text: text for text in texts}  # so it stays if it names no file
    for text in texts:
        for folders in range(len(Path(text).parts)):
            titles[text] = short_name(text, folders)
            if titles[text] not in {short_name(other, folders) for other in texts - {text}}:
                break
    return titles


def _name(run: _Run, usual: Mapping[_Peers, Any], titles: Mapping[str, str]) -> Names:
    """Name a run by its environment, its agent, and its settings that are not usual."""
    world = [titles[run.env]]
    method = [run.agent]
    for setting, value in run.values.items():
        if value != usual[run.peers(setting)]:
            words = world if _of_world(setting) else method
            words.append(_words(setting, titles[value] if isinstance(value, str) else value))
    return Names(", ".join(world), ", ".join(method))


def _of_world(setting: str) -> bool:
    """Return whether a setting belongs to the world, and not to the method."""
    return setting.startswith(("env.", "good"))


def _words(setting: str, value: Any) -> str:
    """Write a setting as one would say it."""
    written = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    words = setting.split(".", 1)[-1].replace("_", " ")
    if value is not True:  # a switch that is on is said by its name alone
        words = f"{words} {written}"
    return WORDS.get(f"{setting} {written}", words)
