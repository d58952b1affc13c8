"""Recorded episodes in a page, for worlds that are no tables: one of each policy, side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from routed_rl.models.policy import Policy
from routed_rl.worlds.vec_env import VecEnv

STEPS = 120
"""A film shows at most so many steps."""
WIDTH = 320
"""Of a frame, in pixels, at most."""
MOST_BYTES = 600_000
"""Of one film; where it would take more, frames are left out."""
QUALITY = 80


@torch.no_grad()
def record(policies: Mapping[str, Policy], make_env: Any, *, seed: int) -> dict[str, Any]:
    """Play an episode of each policy, from the same start and with the same random numbers.

    Args:
        policies: what acts.
        make_env: makes one environment, each time the same.
        seed: of the sampled actions.

    Returns:
        Policy -> its "frames", pictures as addresses that hold their data, and for each of them the
        "outcome" that had happened, or "", and the reward "paid" so far. Empty if the environment
        cannot be drawn.
    """
    films: dict[str, Any] = {}
    for name, policy in policies.items():
        env = make_env()
        obs = env.reset()
        if not isinstance(env.render(), np.ndarray):
            return {}
        films[name] = _play(policy, env, obs, seed)
    return films


def _play(policy: Policy, env: VecEnv, obs: torch.Tensor, seed: int) -> dict[str, Any]:
    """Film one episode, or its first steps."""
    generator = torch.Generator(env.device).manual_seed(seed)
    pictures = [_picture(env.render())]
    outcomes = [""]
    paid = [0.0]
    for _ in range(STEPS):
        step = env.step(policy.act(obs, generator))
        number = int(step.outcome[0])
        # The environment has been reset where it ended: `final` is the frame before that.
        pictures.append(_picture(env.render(final=True)))
        outcomes.append(env.spec.outcomes[number - 1] if number else outcomes[-1])
        paid.append(paid[-1] + float(step.reward[0]))
        if step.terminated[0] or step.truncated[0]:
            break
        obs = step.obs
    size = sum(map(len, pictures))
    stride = -(-size // MOST_BYTES)
    kept = sorted({*range(0, len(pictures), stride), len(pictures) - 1})
    return {
        "frames": [_address(pictures[k]) for k in kept],
        "outcome": [outcomes[k] for k in kept],
        "paid": [round(paid[k], 3) for k in kept],
        "step": kept,
    }


def _picture(frame: NDArray[np.uint8]) -> bytes:
    """Compress a frame (H, W, 3)."""
    image = Image.fromarray(frame)
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _address(picture: bytes) -> str:
    """Write a picture as an address that holds it."""
    return "data:image/webp;base64," + base64.b64encode(picture).decode()
