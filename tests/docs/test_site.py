"""`make docs` builds the site, and a warning is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

import routed_rl
from routed_rl import routing, sb3

API = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.md")))


def test_every_public_name_has_a_place() -> None:
    found = set(re.findall(r"^\.\. auto\w+:: (\w+)$", API, re.MULTILINE))
    for module in (routing, sb3):
        assert f".. automodule:: {module.__name__}\n" in API
    assert found == set(routed_rl.__all__) - set(routing.__all__) - {"__version__"}


@pytest.mark.extras
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    flags = ("--quiet", "--fail-on-warning", "--keep-going")
    command = [sys.executable, "-m", "sphinx", *flags, str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text()
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        assert "_build" in page.parts or str(page.with_suffix(".html")) in home, page
    assert (tmp_path / "tutorials" / "own_world.ipynb").exists()
    assert "Train an agent in an environment" in (tmp_path / "api" / "training.html").read_text()
