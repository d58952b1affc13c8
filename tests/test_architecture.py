"""The floor plan, and its one list: a folder imports from those before it, or from itself."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from helpers import ROOT

FLOORS = (
    "utils",
    "routing",
    "worlds",
    "models",
    "rollouts",
    "registry",
    "algorithms",
    "gym",
    "checks",
    "evaluation",
    "sb3",
    "trl",
    "training",
    "sweeps",
    "experiments",
    "pages",
    "cli",
)
"""From the ground up."""
TORCH_ONLY = {"routing": {"routing"}}
"""A floor that can be used alone -> the floors that it may import."""
TOP_LEVEL = {"envs": "rollouts", "agents": "gym"}
"""A folder of the user's -> the first floor that it may not import."""
MOST_FILES = 12
MOST_LINES = 350
PACKAGE = ROOT / "routed_rl"


def modules_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the path of every file in a folder."""
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if not name.startswith("routed_rl"):
            name = f"routed_rl.{name}"
        yield name.removesuffix(".__init__"), path


def imports(name: str, path: Path) -> set[str]:
    """List the modules of routed_rl that a file imports, relative imports too."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join((*parents[: len(parents) - node.level + 1], *filter(None, [base])))
            # A name may be a module of a package, or something that a module defines.
            known = {f"{base}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= known or {base}
    return {module for module in found if module.split(".")[0] == "routed_rl"}


MODULES = dict(modules_of(PACKAGE)) | {
    name: path for folder in TOP_LEVEL for name, path in modules_of(ROOT / folder)
}


def floor_of(module: str) -> str:
    """Return the folder of a module, or its own name where it lies in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_folder_has_a_floor() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert folders | files == set(FLOORS)


def test_imports_point_down() -> None:
    for name, path in modules_of(PACKAGE):
        floor = floor_of(name)
        if floor not in FLOORS:  # the package's face, and python -m
            continue
        allowed = TORCH_ONLY.get(floor, set(FLOORS[: FLOORS.index(floor) + 1]))
        upward = {module for module in imports(name, path) if floor_of(module) not in allowed}
        upward.discard("routed_rl")  # its version
        assert not upward, f"{name} imports {upward}"


def test_environments_and_agents_stay_on_their_floors() -> None:
    for folder, bound in TOP_LEVEL.items():
        allowed = {"", folder, *FLOORS[: FLOORS.index(bound)]}
        for name, path in modules_of(ROOT / folder):
            upward = {module for module in imports(name, path) if floor_of(module) not in allowed}
            assert not upward, f"{name} imports {upward}"


def test_no_circle() -> None:
    graph = {name: imports(name, path) - {name} for name, path in MODULES.items()}
    graph.pop("routed_rl")
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_package_imports_nothing_heavy() -> None:
    assert not imports("routed_rl", PACKAGE / "__init__.py")


def test_folders_are_small_and_no_file_is_long() -> None:
    count: dict[Path, int] = defaultdict(int)
    for path in MODULES.values():
        count[path.parent] += 1
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
    assert max(count.values()) <= MOST_FILES, count


def test_one_importer_of_tensorboard() -> None:
    found = {p for p in MODULES.values() if "import SummaryWriter" in p.read_text()}
    assert found == {PACKAGE / "training" / "logs" / "trackers.py"}


def test_only_the_loader_of_a_persons_modules_changes_the_search_path() -> None:
    found = set()
    for folder in ("routed_rl", "envs", "agents", "benchmarks", "examples", "tests", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text()))
            if "sys.path" in {
                ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)
            }:
                found.add(path)
    # A person's module may have neighbours. Whatever is ours is found as it is installed.
    assert found == {PACKAGE / "utils" / "imports.py"}


def test_tests_lie_in_the_same_folders() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    others = {"envs", "agents", "docs", "benchmarks", "examples", "data", "support"}
    others |= {"faults", "fuzz", "mutation"}  # of no floor: they are about the whole house
    assert folders - others - {"__pycache__"} <= set(FLOORS)


def test_no_test_is_skipped() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not called & {"pytest.skip", "pytest.importorskip", "pytest.mark.skipif"}, path
