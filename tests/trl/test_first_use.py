"""What a newcomer gets wrong is told before training, or is right."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from tiny_language import SUMS, llama, marked, reward, settings, stir, sums, texts, tokenizer
from trl import DPOConfig, GRPOConfig, SFTConfig

from routed_rl.trl import (
    RoutedDPOTrainer,
    RoutedGRPOTrainer,
    RoutedSFTTrainer,
    dial,
    load,
    quarantine,
)
from routed_rl.trl.seams import check_processes

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

TEXTS = [f"{s}7" for s in SUMS]


def sft(folder: Path, data: Any = None, model: Any = None, **changes: Any) -> Any:
    own = {k: changes.pop(k) for k in ("flag", "measure_every", "eval_dataset") if k in changes}
    return RoutedSFTTrainer(
        quarantine(llama()) if model is None else model,
        args=settings(SFTConfig, folder, **changes),
        train_dataset=marked(text=TEXTS) if data is None else data,
        processing_class=tokenizer(),
        **own,
    )


def grpo(folder: Path, flag: Any, **changes: Any) -> Any:
    return RoutedGRPOTrainer(
        quarantine(llama()),
        reward_funcs=reward,
        flag=flag,
        args=settings(GRPOConfig, folder, max_steps=1),
        train_dataset=sums().add_column("flagged", [False] * len(SUMS)),
        processing_class=tokenizer(),
        **changes,
    )


def test_a_dial_that_was_left_on_is_told(tmp_path: Path) -> None:
    trainer = sft(tmp_path, max_steps=1)
    for scale in (0.0, -1.0):
        dial(trainer.model, scale)
        with pytest.raises(ValueError, match=rf"is dialled to {scale:g}, .* dial\(model, 1.0\)"):
            trainer.train()
    dial(trainer.model, 1.0)
    trainer.train()


def test_launchers_that_split_models_are_told() -> None:
    for kind in ("NO", "MULTI_CPU", "MULTI_GPU"):
        check_processes(kind)
    for kind in ("DEEPSPEED", "FSDP", "MEGATRON_LM", "XLA"):
        with pytest.raises(ValueError, match=f"{kind} is not supported"):
            check_processes(kind)


def test_a_trainer_looks_at_what_the_launcher_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import accelerate

    kind = accelerate.DistributedType.FSDP
    monkeypatch.setattr(accelerate.Accelerator, "distributed_type", kind)
    with pytest.raises(ValueError, match="FSDP is not supported"):
        sft(tmp_path)


@pytest.mark.parametrize("flag", [lambda **_: [], None, "flaged"])
def test_a_flag_that_is_no_column_is_told(tmp_path: Path, flag: Any) -> None:
    with pytest.raises(ValueError, match=r"name a column|Did you mean 'flagged'"):
        sft(tmp_path, flag=flag)


@pytest.mark.parametrize("steps", [-3, None, 0.5])
def test_steps_between_measures_are_a_number(tmp_path: Path, steps: Any) -> None:
    with pytest.raises(ValueError, match=f"measure_every={steps}: say how many"):
        sft(tmp_path, measure_every=steps)


@pytest.mark.parametrize("flags", ["yes", [True] * 5, [True] * 26])
def test_flags_are_looked_at_before_training(tmp_path: Path, flags: Any) -> None:
    data = Dataset.from_dict({"text": TEXTS, "flagged": [flags] * len(TEXTS)})
    with pytest.raises(ValueError, match=r"gave 'yes'|flags for 6 tokens"):
        sft(tmp_path, data)


def test_a_truncated_text_keeps_the_flags_of_its_end(tmp_path: Path) -> None:
    flags = [[True, True, False, False, True, False]] * len(TEXTS)
    data = Dataset.from_dict({"text": TEXTS, "flagged": flags})
    trainer = sft(tmp_path, data, max_length=4, truncation_mode="keep_end")
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["routed_rl_flagged"].tolist() == [[False, True, False, False]] * 8


def test_an_evaluation_needs_no_flags(tmp_path: Path) -> None:
    plain = Dataset.from_dict({"text": TEXTS})
    sets = {"without": plain, "with": marked(text=TEXTS)}
    changes = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1}
    trainer = sft(tmp_path, eval_dataset=sets, **changes)
    trainer.train()
    losses = [v for log in trainer.state.log_history for k, v in log.items() if k.endswith("_loss")]
    assert losses[0] == pytest.approx(losses[1])
    with pytest.raises(ValueError, match="There are: prompt, number"):
        grpo(tmp_path, "flagged", eval_dataset={"without": sums()})


def test_preferences_with_a_trained_base_or_flags_of_tokens_are_told(tmp_path: Path) -> None:
    pairs = {"prompt": SUMS, "chosen": ["7"] * len(SUMS), "rejected": ["1"] * len(SUMS)}

    def dpo(model: Any, flags: list[Any], **changes: Any) -> None:
        RoutedDPOTrainer(
            model,
            args=settings(DPOConfig, tmp_path, **changes),
            train_dataset=Dataset.from_dict(pairs | {"flagged": flags}),
            processing_class=tokenizer(),
        )

    for beta in (0.0, 0.1):
        with pytest.raises(ValueError, match="train_base does not go with DPO"):
            dpo(quarantine(llama(), train_base=True), [True] * len(SUMS), beta=beta)
    with pytest.raises(ValueError, match="flags of tokens are for SFT"):
        dpo(quarantine(llama()), [[True]] * len(SUMS))


def test_a_detector_is_given_what_a_reward_is_given(tmp_path: Path) -> None:
    given: dict[str, set[str]] = {}

    def paid(completions: list[str], **named: Any) -> list[float]:
        given["reward"] = set(named)
        return [0.0] * len(completions)

    async def detector(completions: list[str], **named: Any) -> list[bool]:
        given["detector"] = set(named)
        return ["1" in text for text in completions]

    trainer = grpo(tmp_path, detector)
    trainer.reward_funcs = [paid]
    trainer.train()
    assert given["detector"] == given["reward"] >= {"trainer_state", "log_metric", "number"}


def test_the_best_checkpoint_is_loaded_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = quarantine(llama(), LoraConfig(r=2), train_base=True)
    stir(model)
    data = marked(text=TEXTS)
    changes = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    changes |= {"metric_for_best_model": "loss", "greater_is_better": True}  # so it is the first
    trainer = sft(tmp_path, data, model, eval_dataset=data, load_best_model_at_end=True, **changes)
    logging.getLogger("transformers.trainer").addHandler(caplog.handler)
    trainer.train()
    first = tmp_path / "checkpoint-1"
    assert trainer.state.best_model_checkpoint == str(first)
    ids = texts(5)
    expected = load(llama(), first)(ids).logits
    assert torch.equal(model(ids).logits, expected)
    assert not torch.equal(load(llama(), tmp_path / "checkpoint-3")(ids).logits, expected)
    assert model.active_adapters == ["default", "quarantine"]
    assert "active adapters" not in caplog.text
    logging.getLogger("transformers.trainer").removeHandler(caplog.handler)
