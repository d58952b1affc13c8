"""Steering: what to do with a mixture of experts once it is trained.

`ablate` makes the policy to deploy: it has the experts that are kept and the head, and neither the
others' parameters nor the gate's. Paper, section 4.3: the gate fixed at the diamond expert.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from routed_rl.config import UserError, nearest
from routed_rl.policy import Blueprint, Policy


def ablate(policy: Policy, weights: Mapping[str, float]) -> Policy:
    """Return a policy of its own in which the experts speak with fixed weights and the rest is gone.

    Args:
        policy: of a mixture of experts.
        weights: expert -> weight; an expert that is left out, or has weight 0, is removed.

    Returns:
        A copy that contains the parameters of the experts kept and of the head only.

    Raises:
        UserError: if an expert is unknown, or none is kept.
    """
    known = policy.blueprint.experts
    for name in weights:
        if name not in known:
            raise UserError(f"there is no expert {name!r}. {nearest(name, known)}")
    kept = {name: float(weights[name]) for name in known if weights.get(name, 0.0) != 0.0}
    if not kept:
        raise UserError(f"no expert is left: give at least one of {', '.join(known)} a weight other than 0.")
    if policy.blueprint.told:  # there is nothing to cut out: it is told what it was told in training
        kept = {name: kept.get(name, 0.0) for name in known}
    blueprint = replace(policy.blueprint, experts=tuple(kept), gate=False, weights=tuple(kept.values()))
    ablated = blueprint.build().to(next(policy.parameters()).device)
    source = policy.state_dict() | {"torso.weights": ablated.torso.weights}
    ablated.load_state_dict({name: source[name] for name in ablated.state_dict()})
    return ablated.eval().requires_grad_(False)


def export(policy: Policy, path: Path) -> None:
    """Write a policy to a file that stands on its own.

    Args:
        policy: what to write.
        path: ends in .safetensors (weights and blueprint; `load` reads it back) or in .pt2 (a
            `torch.export` program from (N, *obs_shape) to action logits, which runs without this package).

    Raises:
        UserError: if the file exists or its name ends otherwise.
    """
    if path.exists():
        raise UserError(f"{path} exists: give another name, or remove it first.")
    if path.suffix == ".safetensors":
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
        save_file(tensors, path, metadata={"blueprint": json.dumps(asdict(policy.blueprint))})
    elif path.suffix == ".pt2":
        torch.export.save(_program(policy), path)
    else:
        raise UserError(f"cannot export to {path.name!r}: end the name in .safetensors or .pt2.")


def load(path: Path) -> Policy:
    """Read a policy that `export` wrote as .safetensors. No code in the file is run.

    Raises:
        UserError: if the file is missing or holds no policy of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            plain = json.loads((file.metadata() or {})["blueprint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        arguments: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in plain.items()}
        blueprint = Blueprint(**arguments)
        policy = blueprint.build()
        policy.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} holds no exported policy ({str(error).splitlines()[0][:80]}).") from None
    return policy.eval().requires_grad_(False)


def _program(policy: Policy) -> torch.export.ExportedProgram:
    """Trace a policy into a program for any number of observations."""
    obs = torch.zeros(2, *policy.blueprint.obs_shape)
    names = torch.export.Dim("n")
    return torch.export.export(_ActionLogits(copy.deepcopy(policy)).cpu(), (obs,), dynamic_shapes=({0: names},))


class _ActionLogits(torch.nn.Module):
    """A policy that answers with action logits alone."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return self.policy(obs).actions
