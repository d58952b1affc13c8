"""A language model of a few thousand parameters, its tokenizer, and what GRPO needs, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, GRPOConfig, SFTConfig

WORDS = ["<pad>", "<end>", *"0123456789+="]
SUMS = [f"{a}+{b}=" for a in range(8) for b in range(2)]


def tokenizer() -> PreTrainedTokenizerFast:
    """Return one that reads character by character."""
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # type: ignore[assignment]
    inner.decoder = decoders.Fuse()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def llama(seed: int = 0, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """Return a Llama with random weights."""
    torch.manual_seed(seed)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32}
    words = {"vocab_size": len(WORDS), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    return LlamaForCausalLM(LlamaConfig(**size, **words)).to(dtype)  # type: ignore[arg-type]


def texts(count: int, length: int = 7, seed: int = 0) -> Tensor:
    """Return token ids, (count, length)."""
    return torch.randint(2, len(WORDS), (count, length), generator=torch.manual_seed(seed))


def stir(model: nn.Module, seed: int = 0) -> None:
    """Give adapters something to say, which at first they have not."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                drawn = torch.randn(parameter.shape, generator=generator) * 0.1
                parameter.copy_(drawn.to(parameter.dtype))


def reward(completions: list[str], **_: Any) -> list[float]:
    """Pay for length and for ones."""
    return [len(text) + 2.0 * text.count("1") for text in completions]


def ones(completions: list[str], **_: Any) -> list[bool]:
    """Flag what has a one in it."""
    return ["1" in text for text in completions]


def some_ones(completions: list[str], **_: Any) -> list[bool]:
    """Flag the first halves of a group alone."""
    return [index % 4 < 2 for index, _ in enumerate(completions)]


def sums() -> Dataset:
    """Return prompts."""
    return Dataset.from_dict({"prompt": SUMS, "number": list(range(len(SUMS)))})


def marked(**columns: list[Any]) -> Dataset:
    """Return texts, every third of which is flagged."""
    flagged = [index % 3 == 0 for index in range(len(SUMS))]
    return Dataset.from_dict({**columns, "flagged": flagged})


def settings(kind: type, folder: Path, **changes: Any) -> Any:
    """Return a short training's arguments."""
    common: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 3,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }
    if kind is GRPOConfig:
        common |= {"num_generations": 4, "max_completion_length": 5}
    assert kind in (GRPOConfig, SFTConfig, DPOConfig)
    return kind(**common | changes)
