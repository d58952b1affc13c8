"""The commands of every page run, one after the other, in a copy of the checkout.

Trainings are shortened. What would take hours, or needs what took hours, is left to
`test_commands.py`, which lets it read its flags.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest
from pages import BLOCKS, copy_of_checkout, somebodys_files

pytestmark = [pytest.mark.slow, pytest.mark.extras]

TRAINING = r"(.*(?:train\.py|routed-rl train)\b(?!.*--(?:resume|list|help)).*)"
SHORT = "--steps 1024 --num-envs 8 --evaluations 0 --episodes 8 --agent.hidden 8"
SHORTER = (
    (r"^make train", r"python train.py"),
    (r"^make (\w+)", r"make --dry-run \1"),
    (r"(.*(?:train\.py|routed-rl train) --resume.*)", r"\1 --steps 2048"),
    (TRAINING, rf"\1 {SHORT}"),
    (r"(python sweep\.py .*)", r"\1 --print-commands"),
    (r"(python examples/sb3_ppo\.py.*)", r"\1 --steps 16384"),
)
"""A pattern of a command, and what runs instead of it."""
TOO_LONG = re.compile(
    r"python (?:benchmarks/|plot\.py|examples/(?!sb3)|evaluate\.py .*--relearn)"
    r"|pip |tensorboard |source |git worktree |routed-rl report runs/quick"
)
"""They need the runs of a sweep or the history of commits, take minutes, are run at a tiny size by
tests of their own, or would change the environment that tests run in."""
COMMANDS = {
    page: [line for b in BLOCKS if b.page == page and b.language == "bash" for line in b.commands]
    for page in dict.fromkeys(block.page for block in BLOCKS)
}
PAGES = [page for page, lines in COMMANDS.items() if lines and not all(map(TOO_LONG.match, lines))]


def shortened(command: str) -> str:
    """Return a command that does the same in less time."""
    for told, short in SHORTER:
        command = re.sub(rf"{told}$", short, command)
    return command


def rename(runs: Path, commands: list[str]) -> None:
    """Give the last run the name that later commands know it by.

    A run's folder says what was changed in it, so that of a shortened one says more.
    """
    known = re.findall(r"\bruns/([\w.,=+-]+)", " ".join(commands))
    made = sorted(runs.glob("*_seed-*"), key=lambda path: path.stat().st_mtime)
    for name in known:
        words = set(made[-1].name.split("_")) if made else set()
        if not (runs / name).exists() and set(name.split("_")) <= words:
            made[-1].rename(runs / name)
            return


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    copy_of_checkout(folder)
    somebodys_files(page, folder)
    if any("new-env" in command for command in COMMANDS[page]):
        (folder / "envs" / "my_world.py").unlink()  # it is written by that line
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    environment |= {"WANDB_MODE": "offline"}
    for command in itertools.filterfalse(TOO_LONG.match, COMMANDS[page]):
        short = shortened(command)
        done = subprocess.run(
            short, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{short}\n{done.stdout}\n{done.stderr}"
        if re.fullmatch(TRAINING, short) and "--run-dir" not in short:
            rename(folder / "runs", COMMANDS[page])
