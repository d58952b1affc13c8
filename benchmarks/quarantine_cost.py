"""What a quarantine adds to TRL's own GRPO step: `python benchmarks/quarantine_cost.py`.

The same model, with the same two adapters, learns from the same completions, of which half are
flagged: by TRL's trainer, and by ours. Steps take turns in one run; a step is forward, backward and
clipping, the training half of GRPO. The ratio is the median over turns. Memory is the peak beyond
what was there before the step. Needs the extra `trl`.

    python benchmarks/quarantine_cost.py
    python benchmarks/quarantine_cost.py --width 2048 --layers 16 --batch 16 --length 512 \
        --device cuda --bf16
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import torch
from datasets import Dataset
from overhead import peak_bytes
from speed import wait
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from routed_rl.trl import RoutedGRPOTrainer, quarantine
from routed_rl.trl.flags import FLAGS


def adapted(options: argparse.Namespace) -> Any:
    """Return a Llama with random weights and both adapters."""
    torch.manual_seed(0)
    heads = max(options.width // 64, 1)
    config = LlamaConfig(
        vocab_size=options.words,
        hidden_size=options.width,
        intermediate_size=4 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    model = LlamaForCausalLM(config).to(options.device, torch.bfloat16 if options.bf16 else None)
    return quarantine(model, mlp_units=options.mlp_units)


def completions(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a trainer makes of completions, half of them flagged."""
    batch, length = options.batch, options.length
    words = torch.randint(2, options.words, (batch, length), generator=torch.manual_seed(0))
    half = length // 4  # the prompt's
    made = {
        "prompt_ids": words[:, :half],
        "prompt_mask": torch.ones(batch, half, dtype=torch.long),
        "completion_ids": words[:, half:],
        "completion_mask": torch.ones(batch, length - half, dtype=torch.long),
        "advantages": torch.linspace(-1, 1, batch),
        "num_items_in_batch": torch.tensor(batch * (length - half)),
        FLAGS: torch.arange(batch) % 2 == 0,
    }
    return {name: tensor.to(options.device) for name, tensor in made.items()}


def trainer_of(kind: type, options: argparse.Namespace, **own: Any) -> Any:
    """Return a trainer that is about to take a step."""
    from tokenizers import Tokenizer, models

    words = models.WordLevel({"<pad>": 0, "<end>": 1}, unk_token="<pad>")
    reads = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words), pad_token="<pad>", eos_token="<end>"
    )
    arguments = GRPOConfig(
        output_dir="runs/quarantine_cost",
        per_device_train_batch_size=options.batch,
        num_generations=options.batch,
        report_to="none",
        use_cpu=options.device == "cpu",
        bf16=options.bf16,
        gradient_checkpointing=options.checkpointing,
    )
    trainer: Any = kind(
        adapted(options),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["a"]}),
        processing_class=reads,
        **own,
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer


def step(trainer: Any, batch: dict[str, Any]) -> None:
    """Take the training half of a step."""
    trainer._prepare_inputs = lambda _: dict(batch)
    trainer.model.zero_grad()
    trainer.training_step(trainer.model, {}, None)
    trainer._clip_grad_norm(trainer.model)


def seconds(trainer: Any, batch: dict[str, Any], device: str) -> float:
    """Time a step."""
    wait(torch.device(device))
    started = time.perf_counter()
    step(trainer, batch)
    wait(torch.device(device))
    return time.perf_counter() - started


def peak(trainer: Any, batch: dict[str, Any], device: str) -> int:
    """Return the bytes that a step has at its peak, beyond those before it."""
    if device == "cpu":
        return peak_bytes(lambda: step(trainer, batch))
    trainer.model.zero_grad()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(trainer, batch)
    return torch.cuda.max_memory_allocated() - before


def main() -> None:
    """Print what routing adds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {"width": 256, "layers": 4, "batch": 16, "length": 128}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--words", type=int, default=4096)
    parser.add_argument("--mlp-units", type=int, default=0, help="instead of LoRA")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    batch = completions(options)
    plain = trainer_of(GRPOTrainer, options)
    flag = {"flag": lambda completions, **_: [False] * len(completions), "measure_every": 0}
    ours = {
        unflagged: trainer_of(RoutedGRPOTrainer, options, **flag, unflagged=unflagged)
        for unflagged in ("both", "retain")
    }
    own = {name: value for name, value in batch.items() if name != FLAGS}
    times: dict[str, list[float]] = {name: [] for name in ours}
    speeds = []
    for turn in range(options.turns + 2):
        base = seconds(plain, own, options.device)
        ratios = {n: seconds(t, batch, options.device) / base for n, t in ours.items()}
        if turn >= 2:
            speeds.append(options.batch * options.length / base)
            for name, ratio in ratios.items():
                times[name].append(ratio)
    size = sum(parameter.numel() for parameter in plain.model.parameters())
    print(f"{size / 1e6:.1f}M parameters, TRL's own: {statistics.median(speeds):,.0f} tokens/s")
    memory = peak(plain, own, options.device)
    for name, trainer in ours.items():
        more = peak(trainer, batch, options.device) / memory - 1
        added = statistics.median(times[name]) - 1
        print(f"unflagged to {name:8} time {added:+6.1%}   memory {more:+6.1%}")


if __name__ == "__main__":
    main()
