"""What becomes of the quarantine after training: dialled, cut out, or left behind by an export."""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from routed_rl.trl.adapters import QUARANTINE, RETAIN, check_adapters
from routed_rl.trl.mlp import mlp_sizes


def dial(model: PeftModel, scale: float) -> None:
    """Set how much of the quarantine speaks: 1 as trained, 0 not at all, below 0 subtracted.

    Raises:
        ValueError: if the model has no quarantine, or the scale is no finite number.
    """
    check_adapters(model)
    if not math.isfinite(scale):
        raise ValueError(f"scale {scale}: a finite number is needed; 0 silences the quarantine.")
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.set_scale(QUARANTINE, scale)


def check_dial(model: PeftModel) -> None:
    """Raise unless the quarantine speaks as trained: turned down, it would hardly learn.

    Raises:
        ValueError: with the scale that it has.
    """
    for module in model.modules():
        if isinstance(module, LoraLayer) and QUARANTINE in module.scaling:
            found = module.scaling[QUARANTINE]
            module.set_scale(QUARANTINE, 1.0)
            whole = module.scaling[QUARANTINE]
            module.scaling[QUARANTINE] = found
            if found != whole:
                raise ValueError(
                    f"the quarantine is dialled to {found / whole:g}, and would learn as it "
                    "speaks: call dial(model, 1.0) before training."
                )


def ablate(model: PeftModel) -> None:
    """Cut the quarantine out for good; the retain adapter is left, and goes on as any does.

    Raises:
        ValueError: if the model has no quarantine.
    """
    check_adapters(model)
    model.delete_adapter(QUARANTINE)
    model.set_adapter(RETAIN)


def export(model: PeftModel, folder: str | Path, tokenizer: Any = None) -> nn.Module:
    """Write a plain Hugging Face model: base and retain adapter merged, no quarantine.

    The folder loads by `AutoModelForCausalLM.from_pretrained`, without this package or PEFT. The
    model itself stays as it is: what is merged is a copy, which has to fit in memory.

    Args:
        model: with both adapters, or with the retain adapter alone, after `ablate`.
        folder: is made if it does not exist.
        tokenizer: is saved beside the model.

    Returns:
        The plain model.

    Raises:
        ValueError: if the model has no quarantine, or its MLPs have become of several sizes.
        FileExistsError: if the folder holds something.
    """
    if not is_ablated(model):
        check_adapters(model)
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder.")
    plain = merged(model)
    plain.save_pretrained(str(folder))  # type: ignore[operator]
    if tokenizer is not None:
        tokenizer.save_pretrained(str(folder))
    return plain


def is_ablated(model: Any) -> bool:
    """Say whether the retain adapter is all that is left."""
    return isinstance(model, PeftModel) and set(model.peft_config) == {RETAIN}


@torch.no_grad()
def merged(model: PeftModel) -> nn.Module:
    """Return a copy without adapters: the base with the retain adapter merged into it."""
    twin = copy.deepcopy(model)
    if not is_ablated(twin):
        ablate(twin)
    plain: Any = twin.merge_and_unload(safe_merge=True)
    sizes = mlp_sizes(plain)
    if len(sizes) > 1:
        raise ValueError(f"the MLPs have {sorted(sizes)} units, and one number has to be saved.")
    if sizes:
        plain.config.intermediate_size = sizes.pop()
    plain.__dict__.pop("forward", None)  # a trainer's own, bound to the model that was copied
    return plain
