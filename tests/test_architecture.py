"""The floor plan: a file imports from lower floors, or from files listed above it on its own floor."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = [
    [
        "routing",
        "regions",
        "losses",
        "sparse",
        "networks",
        "distributions",
        "grouping",
        "batch",
        "env",
        "config",
        "loading",
        "logger",
        "checkpoint",
    ],
    [
        "oversight",
        "gym_spaces",
        "gym_copies",
        "gym_env",
        "rollout",
        "guard",
        "labels",
        "outcome_model",
        "rewards",
        "revalued",
    ],
    ["experts"],
    ["policy", "agent", "plugins", "gym_view"],
    [
        "exact",
        "evaluation",
        "steering",
        "stopping",
        "pictures",
        "results",
        "tables",
        "plotting",
        "report",
        "learner",
        "profiles",
        "relearning",
    ],
    ["trace", "trainer"],
    ["subject", "contract", "settings", "run_folder", "run", "assembly", "sweep", "launch"],
    ["commands", "cli", "start", "__main__"],
]
ORDER = [name for floor in FLOORS for name in floor]


def imports(path: Path) -> set[str]:
    """List the files of routed_rl that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "routed_rl":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("routed_rl."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("routed_rl.")}
    return found


def test_every_file_has_a_floor() -> None:
    packages = {"commands"}
    assert {path.stem for path in (ROOT / "routed_rl").glob("*.py")} == {*ORDER, "__init__"} - packages


def test_imports_point_down() -> None:
    for number, name in enumerate(ORDER):
        path = ROOT / "routed_rl" / name
        files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        upward = set().union(*map(imports, files)) - set(ORDER[:number])
        assert not upward, f"{name} imports {upward}, which is not below it"


def test_environments_and_agents_stay_on_their_floors() -> None:
    for folder, floors in (("envs", 2), ("agents", 5), ("routed_rl/sb3", 5)):
        allowed = {name for floor in FLOORS[:floors] for name in floor}
        for path in (ROOT / folder).glob("*.py"):
            assert imports(path) <= allowed, path


def test_one_importer_of_tensorboard_and_no_file_too_long() -> None:
    for path in (ROOT / "routed_rl").rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 350, path
        assert ("import SummaryWriter" in text) == (path.stem == "logger"), path
