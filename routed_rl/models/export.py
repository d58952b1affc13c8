"""Policies as files that stand on their own. No code in a file is run when it is loaded."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from routed_rl.models.build import build_policy, least_weights
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.utils.errors import UserError, one_line
from routed_rl.utils.files import write_whole

FORMER = {"dropped_plane": "dropped_channel", "told": "conditioned"}
"""Names that fields of a spec had in files of before version 0.2."""


def export(policy: Policy, path: str | Path) -> None:
    """Write a policy to a file.

    Args:
        policy: what to write.
        path: ends in .safetensors (weights and spec; `load_policy` reads it back) or in .pt2 (a
            `torch.export` program from (N, *obs_shape) to action logits, which runs without this
            package).

    Raises:
        UserError: if the file exists or its name ends otherwise.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"{path} exists: give another name, or remove it first.")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for {path.name}: make it first.")
    if path.suffix == ".safetensors":
        state = policy.state_dict().items()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state}
        data = save(tensors, metadata={"policy_spec": json.dumps(asdict(policy.spec))})
    elif path.suffix == ".pt2":
        packed = io.BytesIO()
        torch.export.save(_program(policy), packed)
        data = packed.getvalue()
    else:
        raise UserError(f"cannot export to {path.name!r}: end the name in .safetensors or .pt2.")
    # Not by the libraries themselves: their files are the owner's alone, whatever the umask says.
    write_whole(path, lambda file: file.write(data)).replace(path)


def load_policy(path: str | Path) -> Policy:
    """Read a policy that `export` wrote as .safetensors.

    Raises:
        UserError: if the file is missing or holds no policy of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            spec = _spec(file.metadata() or {})
            names = file.keys()  # it is no dict: one cannot iterate over it
            tensors = {name: file.get_tensor(name) for name in names}
        if least_weights(spec) > sum(tensor.numel() for tensor in tensors.values()):
            raise ValueError("its spec asks for more weights than it holds")  # memory is not tried
        policy = build_policy(spec)
        policy.load_state_dict(tensors)
    except Exception as error:  # a broken spec fails in many ways
        raise UserError(f"{path} holds no exported policy ({one_line(error, 80)}).") from None
    return policy.eval().requires_grad_(False)


def stand_on(policy: Policy, path: str | Path) -> None:
    """Put the network and the head of an exported policy below a policy's experts, frozen.

    Args:
        policy: one whose spec has a base.
        path: as of `load_policy`.

    Raises:
        UserError: if the file holds none, or one of other shapes, or a mixture.
    """
    base = load_policy(path)
    if len(base.spec.experts) != 1 or base.torso.weights.tolist() != [1.0]:
        raise UserError(f"{path} holds a mixture, which is no base: export one network alone.")
    wanted = replace(policy.spec, experts=base.spec.experts, gate=False, base=False)
    differ = [
        field.name
        for field in fields(PolicySpec)
        if field.name not in ("weights", "steered")
        and getattr(base.spec, field.name) != getattr(wanted, field.name)
    ]
    if differ:
        raise UserError(
            f"{path} cannot be the base of this policy, they differ in {', '.join(differ)}: "
            "export a network of the same shape."
        )
    assert policy.torso.base is not None, "its spec says so"
    (network,) = base.torso.experts.values()
    policy.torso.base.load_state_dict(network.state_dict())
    policy.head.load_state_dict(base.head.state_dict())
    policy.head.requires_grad_(False)


def _spec(metadata: Mapping[str, str]) -> PolicySpec:
    """Read the spec of a policy, which was once called its blueprint."""
    plain: dict[str, Any] = json.loads(metadata.get("policy_spec") or metadata["blueprint"])
    fields: dict[str, Any] = {}
    for name, value in plain.items():
        fields[FORMER.get(name) or name] = tuple(value) if isinstance(value, list) else value
    return PolicySpec(**fields)


def _program(policy: Policy) -> torch.export.ExportedProgram:
    """Trace a policy into a program for any number of observations."""
    obs = torch.zeros(2, *policy.spec.obs_shape)
    number = torch.export.Dim("n")
    logits = _ActionLogits(copy.deepcopy(policy)).cpu()
    return torch.export.export(logits, (obs,), dynamic_shapes=({0: number},))


class _ActionLogits(nn.Module):
    """A policy that answers with action logits alone."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: Tensor) -> Tensor:
        return self.policy(obs).actions
