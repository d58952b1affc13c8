"""Files of settings and of code, which flags name: yaml, toml and Python."""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml
from calls import NO_WORK, Target, call, write
from helpers import LAUGHS
from hypothesis import strategies as st
from run_folders import FILES
from strategies import changed, lines_of, spoilt

SWEEP: dict[str, Any] = {
    "seeds": [0, 1],
    "flags": {"steps": 100, "num-envs": 4},
    "agents": {"naive": {"agent.hidden": [8]}},
    "world": [{"env.oversight": [0.1, 0.3]}],
    "grid": [{"agent": ["routed", "naive"]}, {"agent": "routed", "agent.gate": False}],
}


def to_toml(plain: Any) -> bytes:
    """Write a sweep as toml, even if nobody could read it."""
    if not isinstance(plain, dict):
        return lines_of([repr(plain)])
    return lines_of(f"{_inline(str(key))} = {_inline(value)}" for key, value in plain.items())


def _inline(value: Any) -> str:
    """Write a value of toml in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inline(str(k))} = {_inline(x)}" for k, x in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "0" if value is None else str(value).lower()


TOMLS = (
    *(b"x=" + b"[" * 9000, b"grid=[{" + b"a." * 5000 + b"a=1}]", b"x = 1\nx = 2"),
    b"[[grid]]\nsteps=1e400",
    *(b"grid=[{}]\nseeds=[" + b"0," * 9000 + b"]", b"grid=[{a=1979-05-27}]"),
    b"grid=[{a=nan,b=-inf}]",
    b"[[grid]]\n" + b"\n".join(b'"env.x%d" = [1, 2, 3, 4, 5, 6, 7, 8, 9]' % i for i in range(12)),
)
toml_files = st.one_of(
    *(changed(SWEEP, to_toml), changed(SWEEP, to_toml)),
    spoilt(to_toml(SWEEP)),
    st.sampled_from(TOMLS),
)


def try_sweep(data: Any) -> None:
    """Read a sweep, and say what it would run."""
    write({"s.toml": data})
    call("sweep", "s.toml", "--print-commands", "--out", "out", folder="out")


YAMLS = (
    *(LAUGHS, "env: &a {name: gridworld, x: *a}", "&a [*a]", "steps: &a [*a]"),
    *("env: {kwargs: &a {a: *a}}", "steps: 1\nsteps: 2", "\ufeffsteps: 100", "steps: \0"),
    *("? [a, b]\n: 1", "? {a: 1}\n: 1", "1: 2", "null: 1", "<<: 1", "<<: {steps: 100}", "a: *b"),
    *("!!python/object/apply:os.mkdir [owned]", "steps: !!python/name:os.system", "!!set {a, b}"),
    *("steps: !!binary aGk=", "steps: 2001-01-01", "steps: 2001-01-01 10:00:00", "- a"),
    *("steps: !!omap [a: 1]", "steps: 0o17", "steps: 1_000", "steps: .nan", "steps: 1:30"),
    *("--- 1\n--- 2", "%YAML 9.9\n---\nsteps: 1", "steps: !!int x", "steps: !!timestamp x"),
    *("env: gridworld", "env: []", "agent: 3", "plugins: 3", "plugins: {a: 1}", "plugins: [[]]"),
    *("{" * 3000, "[" * 3000, "- " * 3000 + "1", "steps: " + "9" * 5000, "a: " + "x" * 10**6),
    *("env: {name: CartPole-v1, kwargs: [x=" + "[" * 3000 + "]}", "steps: 2001-99-99"),
)


def _yaml(plain: Any) -> bytes:
    return lines_of([yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)])


_CONFIG = yaml.safe_load(FILES["config.yaml"])
yaml_files = st.one_of(
    *(changed(_CONFIG, _yaml), changed(_CONFIG, _yaml), changed(_CONFIG, _yaml)),
    spoilt(FILES["config.yaml"]),
    st.sampled_from(YAMLS).map(str.encode),
    st.text(max_size=40).map(str.encode),
)


def try_config(data: Any) -> None:
    """Train with a file of settings."""
    write({"c.yaml": data})
    call("train", "--config", "c.yaml", "--run-dir", "out", folder="out")


PLUGIN = b"""from dataclasses import dataclass
@dataclass(frozen=True)
class Config:
    oversight: float = 0.1
def make(config, num_envs, *, seed, device): return 1
"""
LINES = (
    *PLUGIN.decode().splitlines(),
    *("class Config:", "    pass", "Config = 3", "Config = None", "make = 3", "Agent = 3"),
    *("class Agent:", "    def __init__(self, *a, **k): raise ValueError('x\\ny')"),
    *("    def __post_init__(self): 1 / 0", "    def __post_init__(self): raise ValueError"),
    *("    oversight: 'nothing' = 1", "    oversight: object = object()", "    x: int"),
    *("    x: list = None", "    x: dict[str, int] = None", "    x: 'Config' = None"),
    *("raise SystemExit(3)", "raise Exception", "raise BaseException('x')"),
    *("import sys; sys.exit()", "import nothing_like_this", "def make(): yield", "x = (", "\tx"),
    *("__getattr__ = 1", "def __getattr__(name): return 3"),
    "def __getattr__(name): raise KeyError",
    *("from routed_rl.envs.gridworld import *", "from routed_rl.agents.naive import *", "\0"),
    *("__file__ = 3", "del __file__", "'''</script>", "# -*- coding: latin-9 -*-", "1 / 0"),
    *("# -*- coding: nonsense -*-", "é = 1", "oversight = 1", "raise UnicodeError"),
    "raise MemoryError",
    *("def f(): f()", "f()", "class E(Exception):", "    def __str__(self): 1 / 0", "raise E"),
)
plugins = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=7).map(lines_of),
    st.lists(st.sampled_from(LINES), max_size=3).map(lambda more: PLUGIN + lines_of(more)),
    spoilt(PLUGIN),
)
HOW = (
    *(("train", "--list"), ("train", "--env", "p"), ("train", "--agent", "p"), ("check", "p")),
    *(("train", "--env", "p", "--env.oversight", "0.5"), ("check", "--agent", "p")),
    ("train", "--help", "--env", "p"),
)


def try_plugin(drawn: tuple[Any, tuple[str, ...]]) -> None:
    """Name a file of code."""
    data, args = drawn
    write({"p.py": data})
    try:
        call(*args, "--plugin", "p.py", code=True)
    finally:  # the next one has the same name; and hypothesis reads what local modules hold
        sys.modules.pop("routed_rl_plugin_here_p", None)


TARGETS = (
    Target("config", yaml_files, try_config, 80, NO_WORK),
    Target("sweep", toml_files, try_sweep, 120, NO_WORK),
    Target("plugin", st.tuples(plugins, st.sampled_from(HOW)), try_plugin, 120, NO_WORK),
)
