"""What the README says must be true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium

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


def test_what_the_docs_do_with_gymnasium_works() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text().split("## Our environments in Gymnasium", 1)[1]
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], found)
    env, envs = found["env"], found["envs"]
    assert found["obs"].shape == (64, 4 * 7 * 7)
    planes = eval(re.findall(r"`gymnasium\.wrappers\.(.*?)`", text)[0], {"env": env, **vars(gymnasium.wrappers)})
    assert planes.reset(seed=0)[0].shape == (4, 5, 5)
    assert envs.unwrapped.env.spec.outcomes == ("diamond", "ghost")
