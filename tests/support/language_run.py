"""A short training as a program, for what only processes can show.

python language_run.py grpo|sft|rare|dpo FOLDER [STEP]   trains, resumes, dies before STEP ends
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_language import SUMS, llama, marked, reward, settings, some_ones, stir, sums, tokenizer
from transformers import TrainerCallback
from trl import DPOConfig, GRPOConfig, SFTConfig

from routed_rl.trl import RoutedDPOTrainer, RoutedGRPOTrainer, RoutedSFTTrainer, quarantine


class Dies(TrainerCallback):
    """Kills its own process."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(kind: str, folder: Path, dies_at: int = 0) -> None:
    """Train; leave losses and parameters behind."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    model = quarantine(llama(dtype=torch.float64), mlp_units=3)
    if kind == "grpo":
        changes: dict[str, Any] = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2}
        changes |= {"ddp_backend": "gloo"} if world > 1 else {}
        trainer: Any = RoutedGRPOTrainer(
            model,
            reward_funcs=reward,
            flag=some_ones,
            args=settings(GRPOConfig, folder, **changes),
            train_dataset=sums(),
            processing_class=tokenizer(),
        )
    else:
        changes = {"per_device_train_batch_size": 8 // world, "max_grad_norm": 0.5}
        changes |= {"ddp_backend": "gloo"} if world > 1 else {}
        data = marked(text=[f"{s}7" for s in SUMS])
        if kind == "rare":  # no step has a flag in both processes
            data = data.map(lambda _, index: {"flagged": index == 0}, with_indices=True)
        if kind == "dpo":
            data = marked(prompt=SUMS, chosen=["7"] * len(SUMS), rejected=["1"] * len(SUMS))
        config, trainer_of = (
            (DPOConfig, RoutedDPOTrainer) if kind == "dpo" else (SFTConfig, RoutedSFTTrainer)
        )
        trainer = trainer_of(
            model,
            args=settings(config, folder, **changes),
            train_dataset=data,
            processing_class=tokenizer(),
            measure_every=1,
        )
        stir(model)
    if dies_at:
        trainer.add_callback(Dies(dies_at))
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    if trainer.is_world_process_zero():
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        (folder / "losses.json").write_text(json.dumps(losses))
        torch.save({n: p.detach() for n, p in model.named_parameters()}, folder / "ended.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads outlive their group, and can abort an interpreter that ends
