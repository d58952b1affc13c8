"""What of TRL this package stands on, and what is not supported with it.

Nothing of TRL's losses is copied. Its trainers are extended where they may be: what they do in a
training step, how completions are scored, what is clipped, saved and logged.
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import inspect
from typing import Any

import trl

TESTED = "1.16"
"""The version of TRL that this was tested with."""


class SeamError(RuntimeError):
    """A seam of TRL is not where it was."""


def check_seams(trainer: type, names: tuple[str, ...]) -> None:
    """Raise if a trainer lacks a method that ours extends.

    Raises:
        SeamError: with the version that is known to work.
    """
    missing = [name for name in names if not callable(getattr(trainer, name, None))]
    if missing:
        raise SeamError(moved(f"{trainer.__name__} has no {', '.join(missing)}"))


def moved(what: str) -> str:
    """Say that something of TRL is not as it was tested."""
    return (
        f"TRL {trl.__version__}: {what}. routed_rl.trl was tested with TRL {TESTED}: "
        f"pip install 'trl=={TESTED}.*'."
    )


def given(trainer: type, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a trainer of TRL's was given, by name, also if it came by place."""
    own = inspect.signature(trainer.__init__)  # type: ignore[misc]
    named = {name: value for name, value in kwargs.items() if name in own.parameters}
    return own.bind_partial(None, model, *args, **named).arguments


def check_arguments(args: Any) -> None:
    """Raise for settings under which routing would be wrong or was never tried.

    Raises:
        ValueError: naming the setting.
    """
    refused = {
        "use_vllm": "vLLM generates from merged weights, in which a quarantine cannot be dialled",
        "deepspeed": "DeepSpeed keeps gradients where they cannot be told apart by region",
        "fsdp": "FSDP keeps gradients where they cannot be told apart by region",
        "use_liger_kernel": "Liger's kernels replace layers whose parameters are routed",
        "packing": "packing puts several examples into one row, and a flag is for one example",
        "padding_free": "without padding several examples lie in one row",
    }
    for name, why in refused.items():
        if getattr(args, name, None):
            raise ValueError(f"{name} is not supported with a quarantine: {why}. Leave it out.")


def check_processes(kind: str) -> None:
    """Raise unless processes hold whole models, as in DDP, or there is one alone.

    Args:
        kind: of accelerate's `DistributedType`, which the launcher may have chosen.

    Raises:
        ValueError: naming what it is.
    """
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(
            f"{kind} is not supported with a quarantine, which needs whole gradients in every "
            "process: launch with torchrun, or accelerate launch --multi_gpu (DDP)."
        )
