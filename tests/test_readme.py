"""What the README says must be true."""

from __future__ import annotations

import re
from pathlib import Path

from routed_rl.cli import run_command
from routed_rl.commands.train import train

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_environment_to_drop_in_trains(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    path = tmp_path / "rooms.py"
    path.write_text(code.replace("from . import", "from envs import"))
    flags = ["--num-envs", "8", "--steps", "256", "--evaluations", "0", "--episodes", "8", "--agent.hidden", "8"]
    assert (
        run_command(train, ["--plugin", str(path), "--env", "rooms", "--run-dir", str(tmp_path / "run"), *flags]) == 0
    )
    assert '"bat"' in (tmp_path / "run" / "result.json").read_text()


def test_files_and_flags_that_it_names_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:routed_rl|envs|agents|configs|docs)/[\w/.]+\.\w+)`", README):
        assert (ROOT / path).exists() or path == "envs/rooms.py", path
