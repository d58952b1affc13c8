"""What a person types: flags, and names of files and folders."""

from __future__ import annotations

import dataclasses

from calls import ANYWHERE, NO_PICTURES, NO_WORK, Target, call, write
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from run_folders import FILES
from settings_files import PLUGIN, SWEEP, to_toml
from strategies import arguments, can_be_typed

from routed_rl.cli.evaluate import EvaluateSettings
from routed_rl.cli.plot import PlotSettings
from routed_rl.cli.sweep import SweepSettings
from routed_rl.registry import Registry
from routed_rl.training.builder import Wanted
from routed_rl.training.settings import RunSettings

THERE = ("runs", "runs/one", "c.yaml", "s.toml", "p.py", "gridworld", "CartPole-v1", "routed")
"""Files and names that there are."""


def _flags_of(settings: type, prefix: str = "--") -> list[str]:
    """List the flags of a dataclass, also as switched off."""
    names = [field.name.replace("_", "-") for field in dataclasses.fields(settings)]
    return [f"{prefix}{no}{name}" for name in names for no in ("", "no-")]


PARTS = {kind: Registry().names(kind) for kind in ("envs", "agents")}
FLAGS = {
    "train": [*_flags_of(Wanted), *_flags_of(RunSettings)],
    "evaluate": _flags_of(EvaluateSettings),
    "sweep": _flags_of(SweepSettings),
    "plot": _flags_of(PlotSettings),
    "report": ["--out"],
    "check": _flags_of(Wanted),
    "new-env": ["--name"],
}
OF_PARTS = {
    name: _flags_of(Registry().load(kind, name).Config, f"--{kind[:-1]}.")
    for kind in PARTS
    for name in PARTS[kind]
}
_ALL = ["--help", "--version", *(flag for flags in FLAGS.values() for flag in flags)]
_VALUE = st.sampled_from(THERE) | arguments


@st.composite
def command_lines(draw: DrawFn) -> list[str]:
    """Draw a command with flags of its own, of others, misspelt, repeated, or without values."""
    command = draw(st.sampled_from(["train", "train", "train", *FLAGS]))
    env, agent = (draw(st.sampled_from(PARTS[kind])) for kind in PARTS)
    line = [command, *draw(st.lists(_VALUE, max_size=1))]
    if command == "train" and draw(st.booleans()):
        line = [command, "--env", env, "--agent", agent]
    own = st.sampled_from(FLAGS[command])
    if command in ("train", "check"):
        own |= st.sampled_from(OF_PARTS[env] + OF_PARTS[agent])
    misspelt = st.builds(
        lambda flag, at, x: flag[:at] + x + flag[at:], own, st.integers(2, 9), _VALUE
    )
    given = st.lists(_VALUE, max_size=3) | st.lists(arguments, min_size=60, max_size=60)
    for flag in draw(
        st.lists(st.one_of(own, own, own, st.sampled_from(_ALL), misspelt), max_size=4)
    ):
        joined = draw(st.integers(0, 4)) == 0
        line += [f"{flag}={draw(_VALUE)}"] if joined else [flag, *draw(given)]
    return line


def try_flags(line: list[str]) -> None:
    """Run a command where there are a run, and a file of each kind."""
    write({"s.toml": to_toml(SWEEP), "c.yaml": b"steps: 100\n", "p.py": PLUGIN})
    write(FILES, "runs/one")
    call(*line, folder=ANYWHERE, code=True)


PATHS = (
    *("", ".", "..", "...", "../x", "a/../b", "a b", "a\nb", "a\tb", "a.b.", "a:b", "~"),
    *("$HOME", "*"),
    *("é😀", "\udcff", "\u202e", "'\"", "</script>", "$x$", "[red]", "-x", "--out", "x" * 300),
    "x/" * 3000,
    *("runs/one", "s.toml", "s.toml/x", "/dev/null", "/dev/null/x", "no/x.png", "x.gif", "x.mp4"),
    *("x.png", "x.svg", "x.pt2", "x.safetensors", ".png", "a\nb.svg", "$x$.png"),
    "runs/one/figures",
)
paths = st.sampled_from(PATHS) | st.text(max_size=6).filter(
    lambda path: can_be_typed(path) and "/" not in path
)
_ONE = ("evaluate", "runs/one")
WAYS = (
    *(("train", flag, "{}") for flag in ("--run-dir", "--resume", "--config", "--plugin", "--env")),
    *(
        (*_ONE, flag, "{}")
        for flag in ("--checkpoint", "--gif", "--export", "--relearn", "--steer")
    ),
    (*_ONE, "--dial", "--episodes", "20", "--weights", "0", "--plot", "{}"),
    *((command, "{}") for command in ("evaluate", "sweep", "plot", "report", "new-env", "check")),
    ("sweep", "s.toml", "--print-commands", "--out", "{}"),
    *(("plot", folder, "--out", "{}") for folder in ("runs", "runs/one")),
    *(("check", flag, "{}") for flag in ("--plugin", "--agent")),
)


def try_path(drawn: tuple[tuple[str, ...], str, bool]) -> None:
    """Name a file or a folder, which is a run's, with another run in it, if it can be."""
    way, path, there = drawn
    write({"s.toml": to_toml(SWEEP)})
    write(FILES, "runs/one")
    if there and path and not path.startswith("/"):
        try:
            write(FILES, path)
            write(FILES, f"{path}/deeper")
        except (OSError, ValueError):  # no such file can be
            pass
    call(*(path if word == "{}" else word for word in way), folder=ANYWHERE)


TARGETS = (
    Target("flags", command_lines(), try_flags, 80, NO_WORK | NO_PICTURES),
    Target("path", st.tuples(st.sampled_from(WAYS), paths, st.booleans()), try_path, 8, NO_WORK),
)
