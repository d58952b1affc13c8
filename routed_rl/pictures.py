"""Pictures of policies: arrows over a board, the gate behind them, and films of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from routed_rl.env import Scene, VecEnv
from routed_rl.policy import CategoricalPolicy, sample

Picture = NDArray[np.uint8]
_GATE = LinearSegmentedColormap.from_list("gate", ["#cdb2ea", "#ffffff", "#9fdde4"])  # other experts - target's expert


def arrows(policies: Mapping[str, CategoricalPolicy], scenes: Sequence[Scene], *, target: str) -> Picture:
    """Draw each policy as arrows over each scene.

    Args:
        policies: a row of boards each.
        scenes: a column each.
        target: the expert whose share the background shows, for a policy with a gate.

    Returns:
        The picture, (H, W, 3).
    """
    width, height = 2.4 * len(scenes) + 0.5, 2.4 * len(policies) + 0.7
    figure = Figure(figsize=(width, height), dpi=100)
    edges = {"left": 0.4 / width, "right": 1 - 0.1 / width, "bottom": 0.35 / height, "top": 1 - 0.35 / height}
    axes = figure.subplots(
        len(policies), len(scenes), squeeze=False, gridspec_kw=edges | {"wspace": 0.05, "hspace": 0.05}
    )
    for row, (name, policy) in zip(axes, policies.items(), strict=True):
        for axis, scene in zip(row, scenes, strict=True):
            _draw_board(axis, policy, scene, target)
        row[0].set_ylabel(name, fontsize=12)
    for axis, scene in zip(axes[0], scenes, strict=True):
        axis.set_title(scene.title, fontsize=10)
    note = (
        f"arrow length = probability; blue = the gate chooses the {target} expert, violet = another; yellow = overseen"
    )
    figure.text(0.5, 0.1 / height, note, fontsize=9, color="#5c5e63", horizontalalignment="center")
    return _to_array(figure)


@torch.no_grad()
def _draw_board(axis: Axes, policy: CategoricalPolicy, scene: Scene, target: str) -> None:
    """Draw one policy on one scene."""
    height, width = scene.background.shape[:2]
    rows, columns = (scene.cells.max(dim=0).values + 1).tolist()
    tile = round(max(height / rows, width / columns)) if rows and columns else 1
    board = scene.background.astype(np.float32) / 255
    logits = policy(scene.obs)
    if logits.gate is not None and target in policy.blueprint.experts:
        share = logits.gate.softmax(dim=1)[:, policy.blueprint.experts.index(target)]
        for (row, column), weight in zip(scene.cells.tolist(), share.tolist(), strict=True):
            area = np.s_[row * tile + 1 : (row + 1) * tile - 1, column * tile + 1 : (column + 1) * tile - 1]
            board[area] = _GATE(weight)[:3]
    axis.imshow(board, extent=(-0.5, width / tile - 0.5, height / tile - 0.5, -0.5), interpolation="lanczos")
    chances = logits.actions.softmax(dim=1).cpu().numpy()
    cells = scene.cells.cpu().numpy()
    cell, action = np.nonzero(chances > 0.05)  # shorter arrows are specks
    step = 0.46 * chances[cell, action, None] * scene.moves.numpy()[action]
    axis.quiver(
        cells[cell, 1], cells[cell, 0], step[:, 1], step[:, 0],
        angles="xy", scale_units="xy", scale=1, width=0.013, headwidth=3.6, headlength=3.6, headaxislength=3.4,
        color="#2f3440", minlength=0,
    )  # fmt: skip
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


@torch.no_grad()
def film(policy: CategoricalPolicy, env: VecEnv, path: Path, *, steps: int, seed: int, greedy: bool = False) -> None:
    """Write a GIF of `steps` steps of one environment, 5 frames a second, a pause at each end.

    Args:
        policy: what acts.
        env: environments of which number 0 is shown.
        path: where to write.
        steps: how many steps to show.
        seed: decides the sampled actions.
        greedy: take the likeliest action instead.
    """
    generator = torch.Generator(env.device).manual_seed(seed)
    obs = env.reset()
    frames, pauses = [Image.fromarray(env.render())], [400]
    for _ in range(steps):
        logits = policy(obs).actions
        step = env.step(logits.argmax(dim=1) if greedy else sample(logits, generator)[0])
        frames.append(Image.fromarray(env.render(final=True)))
        pauses.append(200)
        if step.terminated[0] or step.truncated[0]:
            pauses[-1] = 800
            frames.append(Image.fromarray(env.render()))
            pauses.append(400)
        obs = step.obs
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=pauses, loop=0)


def _to_array(figure: Figure) -> Picture:
    """Render a figure without a screen."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
