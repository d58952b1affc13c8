from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch

from routed_rl import steering
from routed_rl.config import UserError
from routed_rl.policy import Blueprint, Policy


def policy(**kwargs: object) -> Policy:
    torch.manual_seed(0)
    return Blueprint((4, 5, 5), 4, ("diamond", "ghost", "bat"), (8, 8), gate=True, **kwargs).build()  # type: ignore[arg-type]


def test_an_ablated_policy_does_not_contain_the_others_or_the_gate() -> None:
    whole = policy()
    ablated = steering.ablate(whole, {"diamond": 1.0, "ghost": 0.0})
    assert {name.split(".")[1] for name, _ in ablated.named_parameters() if "torso" in name} == {"experts"}
    assert list(ablated.torso.experts) == ["diamond"]
    assert ablated.torso.gate is None
    gone = [*whole.torso.experts["ghost"].parameters(), *whole.torso.experts["bat"].parameters()]
    assert whole.torso.gate is not None
    gone += list(whole.torso.gate.parameters())
    kept = {p.data_ptr() for p in ablated.parameters()}
    assert not any(p.data_ptr() in kept for p in whole.parameters()), "it shares no memory with the whole policy"
    values = torch.cat([p.flatten() for p in ablated.parameters()])
    for p in gone:
        assert not torch.isin(p[p != 0], values).any(), "no number of theirs is left in it"


def test_it_acts_as_the_steered_whole_does() -> None:
    whole, obs = policy(), torch.rand(50, 4, 5, 5)
    for weights in ({"diamond": 1.0}, {"diamond": 0.25, "bat": -0.5}):
        row = torch.tensor([weights.get(name, 0.0) for name in whole.blueprint.experts])
        steered = whole(obs, steer=row.expand(50, 3)).actions
        assert torch.equal(steering.ablate(whole, weights)(obs).actions, steered)


def test_unknown_and_missing_experts_are_told() -> None:
    with pytest.raises(UserError, match=r"'dimond'.*Did you mean 'diamond'"):
        steering.ablate(policy(), {"dimond": 1.0})
    with pytest.raises(UserError, match="no expert is left"):
        steering.ablate(policy(), {"diamond": 0.0})


def test_exported_and_loaded_it_takes_the_same_actions(tmp_path: Path) -> None:
    obs = torch.rand(200, 4, 5, 5)
    for dropped in (None, 3):
        ablated = steering.ablate(policy(dropped_plane=dropped), {"diamond": 1.0})
        path = tmp_path / f"{dropped}.safetensors"
        steering.export(ablated, path)
        loaded = steering.load(path)
        draws = [p.act(obs, torch.Generator().manual_seed(1)) for p in (ablated, loaded)]
        assert torch.equal(*draws)
        assert torch.equal(ablated(obs).actions, loaded(obs).actions)
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        assert not [name for name in header if "ghost" in name or "gate" in name]


def test_what_exists_is_not_written_over_and_other_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists"):
        steering.export(policy(), path)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match=r"\.safetensors or \.pt2"):
        steering.export(policy(), tmp_path / "policy.pkl")


def test_a_file_that_is_no_policy_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no policy at all")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(UserError, match="holds no exported policy"):
            steering.load(path)


@pytest.mark.filterwarnings("ignore")  # torch.export warns of its own future
def test_the_pt2_program_gives_the_same_logits_for_any_batch(tmp_path: Path) -> None:
    ablated = steering.ablate(policy(dropped_plane=3), {"diamond": 1.0})
    steering.export(ablated, tmp_path / "policy.pt2")
    program = torch.export.load(tmp_path / "policy.pt2").module()
    for n in (1, 7):
        obs = torch.rand(n, 4, 5, 5)
        assert torch.allclose(program(obs), ablated(obs).actions, atol=1e-6)
