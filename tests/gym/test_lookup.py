"""The registry asks for Gymnasium's environments through functions that import it late."""

from __future__ import annotations

import subprocess
import sys

from routed_rl.gym.config import Config
from routed_rl.gym.lookup import GYMNASIUM


def test_a_name_gives_a_module_and_ids_are_listed() -> None:
    module = GYMNASIUM.find("Counter-v0")
    assert module is not None
    assert module.Config is Config
    assert module.__doc__ == "Counter-v0, of Gymnasium."
    assert GYMNASIUM.find("nothing") is None
    assert "Counter-v0" in GYMNASIUM.ids()


def test_it_is_imported_without_gymnasium() -> None:
    code = "import sys, routed_rl.gym.lookup; sys.exit('gymnasium' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
