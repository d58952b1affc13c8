"""What does not fit two adapters is told, and what they are made of is what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoHaConfig, LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from tiny_language import llama
from torch import nn

from routed_rl.trl import ablate, dial, export, load, quarantine
from routed_rl.trl.mlp import MlpAdapter

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
PARTS = {"gate_proj", "up_proj", "down_proj"}


def adapted(model: PeftModel) -> set[str]:
    """Return the last names of the layers that have adapters."""
    named = model.named_modules()
    return {name.rpartition(".")[2] for name, m in named if isinstance(m, LoraLayer)}


def test_adapters_are_of_rank_16_on_all_linear_layers_unless_told_otherwise() -> None:
    model = quarantine(llama())
    assert adapted(model) == ATTENTION | PARTS
    for name in ("default", "quarantine"):
        config: Any = model.peft_config[name]
        assert (config.r, config.lora_alpha) == (16, 32)
    assert model.active_adapters == ["default", "quarantine"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, set()),
        (LoraConfig(r=2), set()),
        (LoraConfig(r=2, target_modules=["q_proj"]), {"q_proj"}),
        (LoraConfig(r=2, target_modules="all-linear"), ATTENTION),
    ],
)
def test_mlps_have_units_and_lora_lies_outside_of_them(
    config: LoraConfig | None, expected: set[str]
) -> None:
    model = quarantine(llama(), config, mlp_units=3)
    assert adapted(model) == expected | {"mlp"}
    units: Any = model.base_model.model.model.layers[0].mlp
    assert isinstance(units, MlpAdapter)
    assert units.r == {"default": 3, "quarantine": 3}
    assert units.scaling == {"default": 1.0, "quarantine": 1.0}


@pytest.mark.parametrize("units", [0.5, "64", -1])
def test_units_are_a_whole_number(units: Any) -> None:
    with pytest.raises(ValueError, match=f"mlp_units={units!r}: say how many"):
        quarantine(llama(), mlp_units=units)


def test_a_model_with_adapters_gets_no_others() -> None:
    model = quarantine(llama(), LoraConfig(r=1))
    inner = model.base_model.model
    for one in (model, inner, PeftModel(llama(), LoraConfig(r=1, target_modules=["q_proj"]))):
        with pytest.raises(ValueError, match="has adapters already"):
            quarantine(one)
    other = PeftModel(llama(), LoHaConfig(r=1, target_modules=["q_proj"]))
    with pytest.raises(ValueError, match="has adapters already"):
        quarantine(other)


@pytest.mark.parametrize("model", [None, 3, {"model": 1}])
def test_what_is_no_model_is_told(model: Any) -> None:
    with pytest.raises(ValueError, match=r"model=.*: pass a model of Hugging Face's, or its name"):
        quarantine(model)


def test_a_model_without_gated_mlps_has_no_units() -> None:
    with pytest.raises(ValueError, match="no MLP with gate_proj"):
        quarantine(nn.Sequential(nn.Linear(2, 2)), mlp_units=4)


@pytest.mark.parametrize("asked", [["q_proj", "up_proj"], "q_proj"])
def test_lora_inside_mlps_with_units_is_refused(asked: Any) -> None:
    with pytest.raises(ValueError, match=r"reaches into MLPs .*\(k_proj, lm_head, o_proj, q_proj"):
        quarantine(llama(), LoraConfig(target_modules=asked), mlp_units=4)


def test_a_pattern_is_no_list_of_names() -> None:
    model = nn.Module()
    model.q, model.layer = nn.Linear(2, 2), llama().model.layers[0]
    with pytest.raises(ValueError, match="target_modules='q' reaches into MLPs"):
        quarantine(model, LoraConfig(target_modules="q"), mlp_units=4)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("lora_bias", True),
        ("alora_invocation_tokens", [1]),
        ("target_parameters", ["weight"]),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [1]),
    ],
)
def test_settings_that_do_more_than_add_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{setting}=.* is not supported"):
        quarantine(llama(), LoraConfig(**{setting: value}))


def test_gaussian_weights_only_add() -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights="gaussian")
    assert adapted(quarantine(llama(), config)) == {"q_proj"}


def test_other_kinds_of_adapters_are_refused() -> None:
    for config in (LoHaConfig(r=2), object()):
        kind = type(config).__name__
        with pytest.raises(ValueError, match=f"a {kind} was given: pass a LoraConfig"):
            quarantine(llama(), config)  # type: ignore[arg-type]


def test_weights_that_two_layers_share_get_no_adapter() -> None:
    tied = llama()
    tied.lm_head.weight = tied.model.embed_tokens.weight
    with pytest.raises(ValueError, match="embed_tokens shares its weight"):
        quarantine(tied, LoraConfig(target_modules=["embed_tokens"]))
    other = LoraConfig(target_modules=["q_proj"])
    assert adapted(quarantine(tied, other)) == {"q_proj"}


def test_what_has_no_quarantine_is_told() -> None:
    with pytest.raises(ValueError, match="LlamaForCausalLM has no quarantine"):
        dial(llama(), 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale nan"):
        dial(quarantine(llama(), LoraConfig(r=1)), float("nan"))
    model = quarantine(llama(), LoraConfig(r=1))
    ablate(model)
    with pytest.raises(ValueError, match=r"has the adapters default, and .* before ablate"):
        dial(model, 0.0)


def test_what_cannot_be_loaded_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no adapter_config"):
        load(llama(), tmp_path)
    with pytest.raises(ValueError, match=r"me/adapter is no folder here: .*snapshot_download"):
        load(llama(), "me/adapter")
    (tmp_path / "mine").write_text("")
    with pytest.raises(FileExistsError, match="name a new folder"):
        export(quarantine(llama()), tmp_path)


@pytest.mark.parametrize("base", [False, True])
def test_what_is_loaded_learns_only_where_that_is_asked_for(base: bool, tmp_path: Path) -> None:
    made = quarantine(llama(), LoraConfig(r=1), train_base=base)
    made.save_pretrained(str(tmp_path))
    for trainable in (None, False, True):
        asked = {} if trainable is None else {"trainable": trainable}
        again = load(llama(), tmp_path, **asked)
        learns = {n for n, p in again.named_parameters() if p.requires_grad}
        before = {n for n, p in made.named_parameters() if p.requires_grad}
        assert learns == (before if trainable else set())
        assert again.training is bool(trainable)
        for config in again.peft_config.values():
            assert config.inference_mode is not bool(trainable)


def test_a_trained_base_is_written_by_the_main_process_alone(tmp_path: Path) -> None:
    model = quarantine(llama(), LoraConfig(r=1, target_modules=["q_proj"]), train_base=True)
    turned = model.base_model.model.model.layers[0].self_attn.k_proj
    turned.weight = nn.Parameter(turned.weight.detach().t().contiguous().t())  # not contiguous
    model.save_pretrained(str(tmp_path / "other"), is_main_process=False)
    assert not list((tmp_path / "other").rglob("*.safetensors"))
    model.save_pretrained(str(tmp_path / "main"), selected_adapters=["default"])
    assert not (tmp_path / "main" / "quarantine").exists()
    base = load_file(tmp_path / "main" / "base.safetensors")
    plain = dict(llama().named_parameters())
    assert len(base) == len(plain)
    assert not [name for name in base if "lora_" in name]
    own = "base_model.model.model.layers.0.self_attn.k_proj.weight"
    assert torch.equal(base[own], turned.weight)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_may_be_given_by_its_folder(kind: Any, tmp_path: Path) -> None:
    llama(dtype=torch.bfloat16).save_pretrained(str(tmp_path))
    model = quarantine(kind(tmp_path), LoraConfig(r=1, target_modules=["q_proj"]))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
