"""A retain and a quarantine adapter on one model, by PEFT.

The retain adapter has PEFT's own name, "default": whoever loads a saved folder as usual gets it
alone, and not the quarantine, which lies in a folder of its own inside.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, PeftType, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM

from routed_rl.trl.mlp import MlpAdapter, gated_mlps

RETAIN = "default"
"""The adapter that is kept."""
QUARANTINE = "quarantine"
"""The adapter that is cut out."""
BASE = "base"
"""What else of the model is trained, where the base is not frozen."""
_BASE_FILE = "base.safetensors"
"""Where a trained base lies, beside the adapters that were trained with it."""


def quarantine(
    model: nn.Module | str | Path,
    config: LoraConfig | None = None,
    *,
    mlp_units: int = 0,
    train_base: bool = False,
) -> PeftModel:
    """Put a retain and a quarantine adapter on a model. Its outputs stay the same to the bit.

    Args:
        model: of Hugging Face's, without adapters; or its name, or the folder where it is. By name
            it is loaded in float32, as TRL does it.
        config: of both adapters; without it, rank 16 and alpha 32 on all linear layers, or no LoRA
            if `mlp_units` is given.
        mlp_units: hidden units that either adapter adds to each gated MLP. Where `config` is given
            too, LoRA is put on what lies outside of these.
        train_base: train the model's own parameters with the retain adapter, too. They are saved
            with the adapters, and `load` reads them; PEFT's own loading does not.

    Returns:
        A model of PEFT's with both adapters active.

    Raises:
        ValueError: if there are adapters already, or no gated MLP for `mlp_units`, or if adapters
            of this kind do not add to what the base says.
    """
    if not isinstance(mlp_units, int) or mlp_units < 0:
        raise ValueError(f"mlp_units={mlp_units!r}: say how many, as a whole number; 0 for none.")
    model = _plain_model(model)
    if isinstance(model, PeftModel) or any(isinstance(m, LoraLayer) for m in model.modules()):
        raise ValueError("the model has adapters already: merge them, or pass the plain model.")
    _refuse_what_does_not_add(config or LoraConfig())
    config = _config_for(model, config, mlp_units)
    peft_model = get_peft_model(model, config, adapter_name=RETAIN)
    assert isinstance(peft_model, PeftModel)
    if tied := _tied(peft_model):
        peft_model.unload()
        raise ValueError(
            f"{tied} shares its weight with another layer, into which an export would merge its "
            "adapter, too: leave it out of target_modules."
        )
    peft_model.add_adapter(QUARANTINE, copy.deepcopy(config))
    activate(peft_model)
    if train_base:
        _own_base(peft_model, trainable=True)
    return peft_model


def load(
    model: nn.Module | str | Path, folder: str | Path, *, trainable: bool = False
) -> PeftModel:
    """Put adapters that `save_pretrained` or a trainer saved on their base again.

    Args:
        model: the plain base, as `quarantine` takes it. If it was trained, its numbers are replaced
            by those that were saved.
        folder: on this machine.
        trainable: let what was trained before go on learning.

    Raises:
        ValueError: if the folder does not hold both.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder here: save adapters there first, or, if they lie on the hub, "
            "pass what huggingface_hub.snapshot_download returns."
        )
    missing = [p for p in (folder, folder / QUARANTINE) if not (p / "adapter_config.json").exists()]
    if missing:
        raise ValueError(
            f"{missing[0]} holds no adapter_config.json: name a folder that was saved."
        )
    model = _plain_model(model)
    saved = LoraConfig.from_pretrained(str(folder))
    assert isinstance(saved, LoraConfig)
    _register_mlps(model, saved)
    loaded = PeftModel.from_pretrained(
        model, str(folder), RETAIN, is_trainable=trainable, config=saved
    )
    loaded.load_adapter(str(folder / QUARANTINE), QUARANTINE, is_trainable=trainable)
    activate(loaded, trainable=trainable)
    if (folder / _BASE_FILE).exists():
        load_base(loaded, folder)
        _own_base(loaded, trainable=trainable)
    return loaded


def load_base(model: nn.Module, folder: str | Path) -> None:
    """Give a base the numbers that were saved beside adapters."""
    model.load_state_dict(load_file(Path(folder) / _BASE_FILE), strict=False)


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
            "pass what quarantine(model) or load(model, folder) returned, before ablate(model)."
        )


def region_of(name: str) -> str:
    """Return the region that a parameter of this name is in."""
    parts = name.split(".")
    if not any(part.startswith("lora_") for part in parts):
        return BASE
    return QUARANTINE if QUARANTINE in parts else RETAIN


def _plain_model(model: nn.Module | str | Path) -> nn.Module:
    """Return a model that may be given by its name.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(model, str | Path):
        return AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)
    if not isinstance(model, nn.Module):
        raise ValueError(f"model={model!r}: pass a model of Hugging Face's, or its name.")
    return model


def _own_base(model: PeftModel, *, trainable: bool) -> None:
    """Let the base learn as the adapters do, and have it saved wherever they are saved."""
    model.requires_grad_(trainable)
    model.save_pretrained = partial(_save_with_base, model)  # type: ignore[method-assign]


def _save_with_base(
    model: PeftModel, save_directory: str, *args: Any, is_main_process: bool = True, **kwargs: Any
) -> None:
    PeftModel.save_pretrained(
        model, save_directory, *args, is_main_process=is_main_process, **kwargs
    )
    if is_main_process:
        named = model.named_parameters()
        base = {n: p.contiguous() for n, p in named if region_of(n) == BASE}
        save_file(base, Path(save_directory) / _BASE_FILE)


def _refuse_what_does_not_add(config: LoraConfig) -> None:
    """Raise for adapters that are no LoRA, or change more than what they add.

    Raises:
        ValueError: naming the setting.
    """
    if getattr(config, "peft_type", None) != PeftType.LORA:
        kind = type(config).__name__
        raise ValueError(f"a {kind} was given: pass a LoraConfig of PEFT's, or none.")
    variants = [field.name for field in fields(config) if field.metadata.get("is_lora_variant")]
    changed = {name: getattr(config, name) for name in variants} | {
        "use_dora": config.use_dora,
        "modules_to_save": config.modules_to_save,
        "bias": config.bias != "none",
        "lora_bias": config.lora_bias,
        "target_parameters": config.target_parameters,
        "trainable_token_indices": config.trainable_token_indices,
        "init_lora_weights": config.init_lora_weights not in (True, "gaussian"),
    }
    for name, is_changed in changed.items():
        if is_changed:
            raise ValueError(
                f"{name}={getattr(config, name)!r} is not supported: what it changes could not be "
                "routed, or not be cut out again. Leave it out."
            )


def _tied(model: PeftModel) -> str | None:
    """Return the name of a layer with an adapter on a weight that another layer has, too."""
    used: Counter[int] = Counter()
    for module in model.modules():
        used.update(map(id, module._parameters.values()))
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            base: Any = module.get_base_layer()
            weight = base._parameters.get("weight")
            if weight is not None and used[id(weight)] > 1:
                return name
    return None


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
    ours: Any = copy.deepcopy(config or LoraConfig())
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
    config._register_custom_module(dict(kinds))
