"""The page of a quarantine's dial: what a language model writes at each weight of the quarantine.

It reads what `examples/quarantine.py` leaves, json files with these keys:

    arm, seed       which method, and which run of it
    dial            scale of the quarantine -> {what was measured: a number}
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from routed_rl.pages.html import DIAL_SCRIPTS, NAME, page
from routed_rl.utils.errors import UserError
from routed_rl.utils.files import parse_json, write_text

KEYS = {"arm", "seed", "dial"}
Dial = dict[str, dict[str, float]]


Run = dict[str, Any]


def runs_in(folder: Path) -> list[Run]:
    """Read the runs with a dial in a folder."""
    return list(filter(None, map(_read, sorted(folder.glob("*.json")))))


def write(folder: Path, runs: list[Run]) -> Path:
    """Write report.html of a folder's runs with a dial; return its path.

    Raises:
        UserError: if what they measured are no numbers.
    """
    title = f"The dial of {len(runs)} runs in {folder.resolve().name}"
    try:
        arms = _by_arm(runs)
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError) as error:
        raise UserError(f"{folder}: a dial cannot be read ({error}): run it again.") from None
    path = folder / NAME
    write_text(path, page(f"{title} · routed_rl", {"title": title, "arms": arms}, DIAL_SCRIPTS))
    return path


def _read(path: Path) -> Run | None:
    """Read a run; None if the file is none."""
    try:
        found = parse_json(path.read_text())
    except (OSError, ValueError):
        return None
    is_run = isinstance(found, dict) and set(found) >= KEYS and isinstance(found["dial"], dict)
    return found if is_run else None


def _by_arm(runs: list[Run]) -> list[dict[str, Any]]:
    """Average over seeds: for each arm the scales, and each measure at each of them."""
    dials: dict[str, dict[int, Dial]] = defaultdict(dict)
    for run in runs:
        dials[str(run["arm"])][int(run["seed"])] = run["dial"]
    found = []
    for arm, by_seed in dials.items():
        scales = sorted({scale for dial in by_seed.values() for scale in dial}, key=float)
        measures = sorted(
            {name for dial in by_seed.values() for at in dial.values() for name in at}
        )
        table = {
            name: [float(np.mean(_values(by_seed, scale, name))) for scale in scales]
            for name in measures
        }
        numbers = [float(scale) for scale in scales]
        found.append({"arm": arm, "seeds": len(by_seed), "scales": numbers, "measures": table})
    return found


def _values(by_seed: dict[int, Dial], scale: str, name: str) -> list[float]:
    """List a measure at one scale, a number a seed."""
    return [dial[scale][name] for dial in by_seed.values() if scale in dial]
