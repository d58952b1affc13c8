from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT
from safetensors.torch import save_file

from routed_rl.models.build import build_policy, least_weights
from routed_rl.models.export import export, load_policy
from routed_rl.models.policy import Policy
from routed_rl.models.policy_spec import PolicySpec
from routed_rl.models.steering import ablate
from routed_rl.utils.errors import UserError

EXPERTS = ("diamond", "ghost", "bat")


def policy(**switches: Any) -> Policy:
    torch.manual_seed(0)
    return build_policy(PolicySpec((4, 5, 5), 4, EXPERTS, (8, 8), gate=True, **switches))


def test_exported_and_loaded_it_takes_the_same_actions(tmp_path: Path) -> None:
    obs = torch.rand(200, 4, 5, 5)
    for dropped in (None, 3):
        ablated = ablate(policy(dropped_channel=dropped), {"diamond": 1.0})
        path = tmp_path / f"{dropped}.safetensors"
        export(ablated, path)
        loaded = load_policy(path)
        draws = [p.act(obs, torch.Generator().manual_seed(1)) for p in (ablated, loaded)]
        assert torch.equal(*draws)
        assert torch.equal(ablated(obs).actions, loaded(obs).actions)
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        assert not [name for name in header if "ghost" in name or "gate" in name]


def test_files_of_before_version_0_2_are_read(tmp_path: Path) -> None:
    spec = PolicySpec((4, 5, 5), 4, EXPERTS, (8,), dropped_channel=3, conditioned=True)
    written = build_policy(spec)
    blueprint = asdict(spec)
    blueprint["dropped_plane"] = blueprint.pop("dropped_channel")
    blueprint["told"] = blueprint.pop("conditioned")
    state = written.state_dict().items()
    tensors = {name.replace("by_weights", "by_steer"): tensor for name, tensor in state}
    path = tmp_path / "former.safetensors"
    save_file(tensors, path, metadata={"blueprint": json.dumps(blueprint)})
    loaded = load_policy(path)
    assert loaded.spec.dropped_channel == 3
    assert loaded.spec.conditioned
    obs = torch.rand(9, 4, 5, 5)
    assert torch.equal(loaded(obs).actions, written(obs).actions)


def test_what_exists_is_not_written_over_and_other_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists"):
        export(policy(), path)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match=r"\.safetensors or \.pt2"):
        export(policy(), tmp_path / "policy.pkl")


def test_a_file_that_is_no_policy_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no policy at all")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(UserError, match="holds no exported policy"):
            load_policy(path)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.filterwarnings("ignore")  # torch.export warns of its own future
def test_the_pt2_program_gives_the_same_logits_for_any_batch(
    normalize: bool, tmp_path: Path
) -> None:
    whole = policy(dropped_channel=3, normalize_obs=normalize)
    whole.update_statistics(3 * torch.rand(50, 4, 5, 5) + 1)
    ablated = ablate(whole, {"diamond": 1.0})
    export(ablated, tmp_path / "policy.pt2")
    program = torch.export.load(tmp_path / "policy.pt2").module()
    for n in (1, 7):
        obs = torch.rand(n, 4, 5, 5)
        assert torch.allclose(program(obs), ablated(obs).actions, atol=1e-6)


@pytest.mark.parametrize("kind", ["safetensors", "pt2"])
def test_a_file_has_the_mode_that_the_umask_says(tmp_path: Path, kind: str) -> None:
    before = os.umask(0o027)
    try:
        export(policy(), tmp_path / f"policy.{kind}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / f"policy.{kind}").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == [f"policy.{kind}"]


@pytest.mark.parametrize("change", [None, {"experts": []}, {"hidden": "x"}, {"obs_shape": None}])
def test_a_spec_that_was_changed_is_told(tmp_path: Path, change: dict[str, Any] | None) -> None:
    whole = policy()
    spec = None if change is None else asdict(whole.spec) | change
    tensors = {name: tensor.contiguous() for name, tensor in whole.state_dict().items()}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"policy_spec": json.dumps(spec)})
    with pytest.raises(UserError, match=r"holds no exported policy \(\w+: "):
        load_policy(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"obs_shape": [2**40, 5, 5]},
        {"obs_shape": [2**40, 5, 5], "dropped_channel": 3, "normalize_obs": True},
        {"hidden": [2**30, 2**30]},
        {"num_actions": 2**40},
        {"action_sizes": [2**40, 2]},
        {"experts": [str(number) for number in range(10**5)]},
        {"obs_shape": [2**30, 40, 40], "image": True},
        {"obs_shape": [1, 2**20, 2**20], "image": True},
    ],
)
def test_what_would_fill_all_memory_is_told_before_it_does(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    whole = policy()
    spec = asdict(whole.spec) | change
    save_file(whole.state_dict(), tmp_path / "x.safetensors", {"policy_spec": json.dumps(spec)})
    with pytest.raises(UserError, match="its spec asks for more weights than it holds"):
        load_policy(tmp_path / "x.safetensors")


def test_a_policy_is_loaded_without_a_compiler(tmp_path: Path) -> None:
    export(policy(dropped_channel=3), tmp_path / "x.safetensors")
    program = (
        "import sys; from routed_rl.models.export import load_policy; load_policy(sys.argv[1]);"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.safetensors")]
    subprocess.run(command, check=True, cwd=ROOT)


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize(
    "switches",
    [
        *({}, {"gate": True}, {"conditioned": True}, {"base": True}, {"continuous": True}),
        *({"dropped_channel": 1}, {"action_sizes": (3, 2)}, {"normalize_obs": True}),
    ],
)
def test_no_policy_has_fewer_weights_than_its_spec_asks_for(
    image: bool, switches: dict[str, Any]
) -> None:
    shape = (3, 40, 44) if image else (4, 5)
    spec = PolicySpec(shape, 4, EXPERTS, (8, 6), image=image, **switches)
    built = build_policy(spec)
    weights = sum(p.numel() for name, p in built.named_parameters() if "bias" not in name)
    if {"gate", "base", "conditioned", "continuous"} & set(switches):  # more than experts and head
        assert weights / 3 < least_weights(spec) < weights
    else:
        assert least_weights(spec) == weights
