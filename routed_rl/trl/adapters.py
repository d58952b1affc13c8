"""A retain and a quarantine adapter on one model, by PEFT.

The retain adapter has PEFT's own name, "default": whoever loads a saved folder as usual gets it
alone, and not the quarantine, which lies in a folder of its own inside.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoModelForCausalLM

from routed_rl.trl.mlp import MlpAdapter, gated_mlps

RETAIN = "default"
"""The adapter that is kept."""
QUARANTINE = "quarantine"
"""The adapter that is cut out."""
BASE = "base"
"""What else of the model is trained, where the base is not frozen."""


def quarantine(
    model: nn.Module | str,
    config: LoraConfig | None = None,
    *,
    mlp_units: int = 0,
    train_base: bool = False,
) -> PeftModel:
    """Put a retain and a quarantine adapter on a model. Its outputs stay the same to the bit.

    Args:
        model: of Hugging Face's, without adapters; or its name, or the folder where it is.
        config: of both adapters; without it, rank 16 and alpha 32 on all linear layers, or no LoRA
            if `mlp_units` is given.
        mlp_units: hidden units that either adapter adds to each gated MLP. Where `config` is given
            too, LoRA is put on what lies outside of these.
        train_base: train the model's own parameters with the retain adapter, too.

    Returns:
        A model of PEFT's with both adapters active.

    Raises:
        ValueError: if there are adapters already, or no gated MLP for `mlp_units`, or if adapters
            of this kind do not add to what the base says.
    """
    model = AutoModelForCausalLM.from_pretrained(model) if isinstance(model, str) else model
    if isinstance(model, PeftModel) or any(isinstance(m, LoraLayer) for m in model.modules()):
        raise ValueError("the model has adapters already: merge them, or pass the plain model.")
    _refuse_what_does_not_add(config or LoraConfig())
    config = _config_for(model, config, mlp_units)
    peft_model = get_peft_model(model, config, adapter_name=RETAIN)
    assert isinstance(peft_model, PeftModel)
    _refuse_tied(peft_model)
    peft_model.add_adapter(QUARANTINE, copy.deepcopy(config))
    activate(peft_model)
    if train_base:
        for name, parameter in peft_model.named_parameters():
            if region_of(name) == BASE:
                parameter.requires_grad_(True)
    return peft_model


def load(model: nn.Module | str, folder: str | Path, *, trainable: bool = False) -> PeftModel:
    """Put adapters that `save_pretrained` or a trainer saved on their base again.

    Raises:
        ValueError: if the folder does not hold both.
    """
    folder = Path(folder)
    missing = [p for p in (folder, folder / QUARANTINE) if not (p / "adapter_config.json").exists()]
    if missing:
        raise ValueError(
            f"{missing[0]} holds no adapter_config.json: name a folder that was saved."
        )
    model = AutoModelForCausalLM.from_pretrained(model) if isinstance(model, str) else model
    saved = LoraConfig.from_pretrained(str(folder))
    assert isinstance(saved, LoraConfig)
    _register_mlps(model, saved)
    loaded = PeftModel.from_pretrained(
        model, str(folder), RETAIN, is_trainable=trainable, config=saved
    )
    loaded.load_adapter(str(folder / QUARANTINE), QUARANTINE, is_trainable=trainable)
    activate(loaded, trainable=trainable)
    return loaded


def activate(model: PeftModel, *, trainable: bool = True) -> None:
    """Let both adapters speak and, if they are to be trained, learn."""
    tuner: Any = model.base_model
    tuner.set_adapter([RETAIN, QUARANTINE], inference_mode=not trainable)


def check_adapters(model: Any) -> None:
    """Raise unless a model has both adapters, and none beside.

    Raises:
        ValueError: with what to do.
    """
    if not isinstance(model, PeftModel):
        kind = type(model).__name__
        raise ValueError(f"{kind} has no quarantine: pass model=quarantine(model).")
    if set(model.peft_config) != {RETAIN, QUARANTINE}:
        found = ", ".join(model.peft_config)
        raise ValueError(
            f"the model has the adapters {found}, and {RETAIN} and {QUARANTINE} are needed: "
            "pass model=quarantine(model), or load(model, folder)."
        )


def region_of(name: str) -> str:
    """Return the region that a parameter of this name is in."""
    parts = name.split(".")
    if not any(part.startswith("lora_") for part in parts):
        return BASE
    return QUARANTINE if QUARANTINE in parts else RETAIN


def _refuse_what_does_not_add(config: LoraConfig) -> None:
    """Raise for adapters that change more than their own sum, which cannot be cut out.

    Raises:
        ValueError: naming the setting.
    """
    changed = {
        "use_dora": config.use_dora,
        "modules_to_save": config.modules_to_save,
        "bias": config.bias != "none",
        "trainable_token_indices": config.trainable_token_indices,
        "init_lora_weights": config.init_lora_weights not in (True, "gaussian"),
    }
    for name, is_changed in changed.items():
        if is_changed:
            raise ValueError(
                f"{name}={getattr(config, name)!r} changes more than what an adapter adds, and "
                "could not be cut out again: leave it out."
            )


def _refuse_tied(model: PeftModel) -> None:
    """Raise for an adapter on a weight that two layers share: merged, it would be in both.

    Raises:
        ValueError: naming the layer.
    """
    used: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                used.setdefault(id(parameter), []).append(name)
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            base: Any = module.get_base_layer()
            weight = base._parameters.get("weight")
            if weight is not None and len(used[id(weight)]) > 1:
                raise ValueError(
                    f"{name} shares its weight with another layer, into which an export would "
                    "merge its adapter, too: leave it out of target_modules."
                )


def _config_for(model: nn.Module, config: LoraConfig | None, mlp_units: int) -> LoraConfig:
    """Return a configuration that is ours, since PEFT changes what it is given."""
    if not mlp_units:
        usual = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
        return copy.deepcopy(config or usual)
    mlps = gated_mlps(model)
    if not mlps:
        raise ValueError(
            f"{type(model).__name__} has no MLP with gate_proj, up_proj and down_proj: "
            "leave mlp_units out, and use LoRA."
        )
    names = {_last(name) for name in mlps}
    ours: Any = copy.deepcopy(config) if config else LoraConfig(target_modules=[])
    ours.target_modules = _outside(model, mlps, ours.target_modules) | names
    sizes = dict.fromkeys(names, mlp_units)
    ours.rank_pattern = {**ours.rank_pattern, **sizes}
    ours.alpha_pattern = {**ours.alpha_pattern, **sizes}
    _register_mlps(model, ours)
    return ours


def _outside(model: nn.Module, mlps: Mapping[str, nn.Module], asked: Any) -> set[str]:
    """Return the layers that LoRA is put on where MLPs have units of their own.

    Raises:
        ValueError: if a layer of an MLP is asked for.
    """
    outside = {
        _last(name): module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not any(name.startswith(f"{m}.") for m in mlps)
    }
    if asked == "all-linear":
        head = model.get_output_embeddings()  # type: ignore[operator]
        return {name for name, module in outside.items() if module is not head}
    if isinstance(asked, str) or set(asked or ()) - set(outside):
        raise ValueError(
            f"target_modules={asked!r} reaches into MLPs that mlp_units is for: "
            f"name layers outside of them ({', '.join(sorted(outside))})."
        )
    return set(asked or ())


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _register_mlps(model: nn.Module, config: LoraConfig) -> None:
    """Tell PEFT what an adapter of an MLP is, which it does not keep in a saved configuration."""
    kinds: Mapping[type[nn.Module], type[nn.Module]] = {
        type(module): MlpAdapter for module in gated_mlps(model).values()
    }
    if kinds:
        config._register_custom_module(dict(kinds))
