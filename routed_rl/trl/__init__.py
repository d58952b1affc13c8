"""A quarantine for language models: routed gradients inside TRL's trainers and PEFT's adapters.

    model = quarantine(AutoModelForCausalLM.from_pretrained(...))
    trainer = RoutedGRPOTrainer(model, reward_funcs=reward, flag=detector, args=..., ...)
    trainer.train()
    export(model, "deployed")

Needs the extra `trl`: pip install "routed-rl[trl]".
"""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

try:
    import peft as _peft  # noqa: F401
    import trl as _trl  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"routed_rl.trl needs {error.name}, which is not installed: pip install 'routed-rl[trl]'."
    ) from error

from routed_rl.trl.adapters import QUARANTINE, RETAIN, load, quarantine
from routed_rl.trl.advantages import group_advantages
from routed_rl.trl.dial import ablate, dial, export
from routed_rl.trl.grpo import RoutedGRPOTrainer
from routed_rl.trl.seams import SeamError
from routed_rl.trl.supervised import RoutedDPOTrainer, RoutedSFTTrainer

__all__ = [
    "QUARANTINE",
    "RETAIN",
    "RoutedDPOTrainer",
    "RoutedGRPOTrainer",
    "RoutedSFTTrainer",
    "SeamError",
    "ablate",
    "dial",
    "export",
    "group_advantages",
    "load",
    "quarantine",
]
