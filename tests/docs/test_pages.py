"""What the pages tell one to type can be typed, and what they point at is there."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest
from helpers import ROOT
from pages import BLOCKS, PAGES, Block, name_of

from routed_rl.gym import from_gym
from routed_rl.registry import Kind, Registry

YOURS = re.compile(r"my_|NAME|COMMAND|rooms|corridor|lander|courier|_template")
"""Of files that a page tells one to write."""
FOLDERS = "routed_rl|envs|agents|configs|sweeps|docs|benchmarks|examples|tests"
LANGUAGES = {"bash", "python", "text", "toml", "yaml", "bibtex", "{toctree}", "{eval-rst}"}


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES


def test_most_blocks_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    python = [block for block in BLOCKS if block.language == "python"]
    fragments = [block for block in python if block.is_fragment]
    commands = [line for block in BLOCKS if block.language == "bash" for line in block.commands]
    others = Counter(b.language for b in BLOCKS if b.language not in ("python", "bash"))
    with capsys.disabled():
        print(
            f"\nin {len(PAGES)} pages: {len(commands)} commands, {len(python)} blocks of Python, "
            f"{len(fragments)} of them fragments, and not to be run: {dict(others)}"
        )
    assert len(commands) >= 90
    assert len(fragments) <= 8 < len(python) - len(fragments)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.is_fragment], ids=named)
def test_a_fragment_is_code(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.code)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "bash"], ids=named)
def test_a_line_can_be_pasted_into_any_shell(block: Block) -> None:
    # A prompt would be typed too, and zsh takes what stands behind # for more arguments.
    assert not re.search(r"[$#]|^>", block.code, re.MULTILINE)


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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_flags_of_environments_and_agents_are_there(page: Path) -> None:
    anybodys = {"--env.x", "--agent.x", "--env.size"}  # the last is the template's
    for flag in re.findall(r"--(?:env|agent)\.[a-z-]+", page.read_text()):
        assert {flag, flag.replace(".no-", ".")} & (known_flags() | anybodys), flag


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_files_are_there(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(rf"`((?:{FOLDERS})/[\w/.]+\.\w+)`", text):
        assert YOURS.search(path) or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_headings_that_are_linked_to_are_there(page: Path) -> None:
    for target, heading in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", page.read_text()):
        other = page.parent / target if target else page
        assert heading in anchors(other.read_text()), f"{target}#{heading}"


def anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_that_lead_elsewhere_are_whole(page: Path) -> None:
    # Whether they lead anywhere, `make links` finds out, which needs the network.
    for link in re.findall(r"\]\((http[^)]*)\)", page.read_text()):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]+/?[\w./%#?=&+-]*", link), link
