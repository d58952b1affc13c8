"""What the pages tell one to type can be typed, and what they point at is there."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

from routed_rl.gym import from_gym
from routed_rl.registry import Kind, Registry
from routed_rl.training import builder

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
YOURS = re.compile(r"my_|NAME|COMMAND|rooms|corridor|lander|_template")
"""Of files that a page tells one to write."""
NOT_BUILT = {"--list", "--help", "--resume"}
FOLDERS = "routed_rl|envs|agents|configs|sweeps|docs|benchmarks|examples|tests"


def blocks(text: str) -> Iterator[str]:
    """Yield what stands between fences without a language: commands, and what they print."""
    for number, block in enumerate(text.split("```")):
        if number % 2 and block.startswith("\n"):
            yield block


def commands(page: Path) -> list[str]:
    """List the trainings of a page, without their program's name."""
    found = []
    for block in blocks(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(r"(?:python train\.py|routed-rl train) (.*)", line.strip())
            if match and not YOURS.search(line):
                found.append(match[1])
    return found


TRAININGS = [(page.name, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), TRAININGS)
def test_every_training_of_a_page_can_be_typed(page: str, command: str) -> None:
    flags = shlex.split(command, comments=True)
    if not NOT_BUILT & set(flags):
        builder.build(flags)


def test_there_are_trainings() -> None:
    assert len(TRAININGS) >= 20


def known_flags() -> set[str]:
    """List the flags of every environment and every agent."""
    registry = Registry()
    kinds: tuple[tuple[Kind, str], ...] = (("envs", "env"), ("agents", "agent"))
    configs = [("env", from_gym.Config)]
    for kind, part in kinds:
        configs += [(part, registry.load(kind, name).Config) for name in registry.names(kind)]
    return {
        f"--{part}.{field.name.replace('_', '-')}"
        for part, config in configs
        for field in dataclasses.fields(config)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_of_environments_and_agents_are_there(page: Path) -> None:
    anybodys = {"--env.x", "--agent.x", "--env.size"}  # the last is the template's
    for flag in re.findall(r"--(?:env|agent)\.[a-z-]+", page.read_text()):
        assert {flag, flag.replace(".no-", ".")} & (known_flags() | anybodys), flag


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_are_there(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(rf"`((?:{FOLDERS})/[\w/.]+\.\w+)`", text):
        assert YOURS.search(path) or (ROOT / path).exists(), path
