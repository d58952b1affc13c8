"""The pages that people copy from, and what is in them to copy."""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
FENCE = re.compile(r"^( *)```([\w{}-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"[Ss]ave\s+this\s+as\s+`([^`]+)`")
SHORTER = (
    (r"\bsteps=[\d_]{5,}", "steps=2_000"),
    (r"\bmax_steps=\d+", "max_steps=2"),
    (r"\blearn\([\d_]+", "learn(4_000"),
    (r"\beval_freq=\d+", "eval_freq=200"),
    (r"\bn_eval_episodes=\d+", "n_eval_episodes=20"),
    (r"\bcount=\d+", "count=4"),
)
"""What a page says, and what takes a test less time."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str
    line: int
    language: str
    code: str
    file: str | None
    """What a reader is told to save it as."""

    @property
    def is_fragment(self) -> bool:
        """Whether it says by three dots that something is left out."""
        return bool(re.search(r"(^|# )\.\.\.|: \.\.\.$", self.code, re.MULTILINE))

    @property
    def runs(self) -> bool:
        """Whether it is Python to be run where it stands."""
        return self.language == "python" and not self.file and not self.is_fragment

    @property
    def commands(self) -> list[str]:
        """Its lines, where it is a shell's; one that goes on behind a backslash is one."""
        return [line for line in self.code.replace("\\\n", " ").splitlines() if line.strip()]


def name_of(page: Path) -> str:
    """Return what a page is called in the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """List the blocks of a page."""
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        file = SAVED.search(before.rstrip().rpartition("\n\n")[2])
        line = before.count("\n") + 1
        code = textwrap.dedent(match[3])
        found.append(Block(name_of(page), line, match[2], code, file[1] if file else None))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]


def save_files(page: str, folder: Path) -> None:
    """Save in a folder what a page says is to be saved."""
    for block in BLOCKS:
        if block.page == page and block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)


def shortened(code: str) -> str:
    """Return code that does the same in less time."""
    for told, short in SHORTER:
        code = re.sub(told, short, code)
    return code


def run_python(page: str, folder: Path) -> dict[str, Any]:
    """Run the Python of a page from top to bottom; return the names that it leaves.

    Call it in `folder`. A file is saved, and a fragment is left out.
    """
    save_files(page, folder)
    names: dict[str, Any] = {"__name__": page}
    for block in BLOCKS:
        if block.page == page and block.runs:
            code = "\n" * block.line + shortened(block.code)  # errors name the line of the page
            exec(compile(code, page, "exec", dont_inherit=True), names)
    return names


def somebodys_files(page: str, folder: Path) -> None:
    """Save in a folder what the commands of a page take for granted."""
    agent = (ROOT / "agents" / "naive.py").read_text()
    rooms = next(block for block in BLOCKS if block.file == "envs/rooms.py")
    files = {
        "envs/my_world.py": (ROOT / "envs" / "_template.py").read_text(),
        "path/to/rooms.py": rooms.code,
        "agents/my_agent.py": agent,
        "path/to/my_agent.py": agent,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    save_files(page, folder)


def copy_of_checkout(folder: Path) -> None:
    """Copy what git would check out."""
    left_out = shutil.ignore_patterns(".git", ".venv", "runs", "_build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / ".venv").symlink_to(ROOT / ".venv")
