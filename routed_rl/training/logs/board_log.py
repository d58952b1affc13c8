"""What the policies do on a few boards at each evaluation: a picture, and arrows.jsonl.

The file has a line that describes the boards, and then a line for each evaluation. The report page
moves through it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from routed_rl.evaluation import pictures
from routed_rl.models.policy import Policy
from routed_rl.training.logs.logger import Logger
from routed_rl.utils.files import append_text, parse_json, write_text
from routed_rl.worlds.scene import Scene

ARROWS = "arrows.jsonl"


class BoardLog:
    """Draws policies on boards; without any it does nothing."""

    def __init__(self, folder: Path, scenes: Sequence[Scene], target: str, logger: Logger) -> None:
        """Prepare for a run.

        Args:
            folder: of the run.
            scenes: the boards.
            target: the expert whose share of the gate is shown.
            logger: shows the picture.
        """
        self._path = folder / ARROWS
        self._scenes = scenes
        self._target = target
        self._logger = logger
        self._begun = False

    @torch.no_grad()
    def show(
        self, policies: Mapping[str, Policy], deployed: str, env_steps: int, *, picture: bool
    ) -> None:
        """Write down what policies do now, and draw it if there shall be a picture."""
        if not self._scenes:
            return
        if picture:
            self._draw(policies, deployed, env_steps)
        if not self._begun:
            self._begin(env_steps)
        found = {
            name: [self._look(policy, scene) for scene in self._scenes]
            for name, policy in policies.items()
        }
        line = {"env_steps": env_steps, "policies": found}
        append_text(self._path, json.dumps(line, separators=(",", ":")) + "\n")

    def _draw(self, policies: Mapping[str, Policy], deployed: str, env_steps: int) -> None:
        """Show a picture of each policy, that of the one to deploy under the name deployed."""
        boards = pictures.draw(policies, self._scenes, target=self._target)
        cards = {
            "deployed" if name == deployed else name: pictures.card(own, self._scenes)
            for name, own in boards.items()
        }
        self._logger.pictures(
            env_steps,
            {f"policies/{name}": picture for name, picture in cards.items()},
            kept=pictures.sheet(boards, self._scenes, target=self._target),
        )

    def _begin(self, env_steps: int) -> None:
        """Describe the boards, and keep what a run that is resumed wrote before this step."""
        _, *moments = whole_lines(self._path) or [[]]
        kept = [moment for moment in moments if moment["env_steps"] < env_steps]
        boards = [_describe(scene) for scene in self._scenes]
        lines = [json.dumps(line, separators=(",", ":")) for line in (boards, *kept)]
        write_text(self._path, "\n".join(lines) + "\n")
        self._begun = True

    def _look(self, policy: Policy, scene: Scene) -> dict[str, Any]:
        """Return action probabilities (n, A) on a board's n cells, and the target's share there."""
        logits = policy(scene.obs)
        seen: dict[str, Any] = {"actions": _percent(logits.actions.softmax(dim=1))}
        if logits.gate is not None and self._target in policy.spec.experts:
            index = policy.spec.experts.index(self._target)
            seen["gate"] = _percent(logits.gate.softmax(dim=1)[:, index])
        return seen


def whole_lines(path: Path) -> list[Any]:
    """Read a file of json lines, without one that was cut short; none if there is no file."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(parse_json(line))
    return found


def _percent(values: torch.Tensor) -> list[Any]:
    """Round probabilities to whole percent: more could not be seen in an arrow."""
    return (values * 100).round().int().tolist()


def _describe(scene: Scene) -> dict[str, Any]:
    """Write down a board: how it looks, what cells it has, and what moves."""
    rows, columns = (side // scene.tile for side in scene.background.shape[:2])
    file = io.BytesIO()
    Image.fromarray(scene.background).save(file, "PNG")
    return {
        "title": scene.title,
        "rows": rows,
        "columns": columns,
        "png": base64.b64encode(file.getvalue()).decode(),
        "cells": scene.cells.tolist(),
        "moves": scene.moves.tolist(),
    }
