"""What a routed trainer of TRL's does to gradients, parameters, logs and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_language import (
    SUMS,
    llama,
    marked,
    ones,
    reward,
    settings,
    some_ones,
    stir,
    sums,
    tokenizer,
)
from transformers import TrainerCallback
from trl import DPOConfig, GRPOConfig, GRPOTrainer, SFTConfig

from routed_rl.trl import (
    RoutedDPOTrainer,
    RoutedGRPOTrainer,
    RoutedSFTTrainer,
    SeamError,
    group_advantages,
    quarantine,
)
from routed_rl.trl.adapters import region_of

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

Gradients = dict[str, torch.Tensor]


def grpo(folder: Path, model: Any = None, flag: Any = some_ones, **changes: Any) -> Any:
    own = {k: changes.pop(k) for k in ("unflagged", "routes", "measure_every") if k in changes}
    return RoutedGRPOTrainer(
        quarantine(llama(), mlp_units=3) if model is None else model,
        reward_funcs=reward,
        flag=flag,
        args=settings(GRPOConfig, folder, **changes),
        train_dataset=sums(),
        processing_class=tokenizer(),
        **own,
    )


class Watch(TrainerCallback):
    """Keeps the gradients of each step, as they are before the optimizer has them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.steps: list[Gradients] = []

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        named = self._model.named_parameters()
        self.steps.append({n: p.grad.clone() for n, p in named if p.grad is not None})


def watched(trainer: Any) -> Watch:
    watch = Watch(trainer.model)
    trainer.add_callback(watch)
    return watch


@pytest.mark.parametrize("unflagged", ["both", "retain"])
@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_teaches_what_its_parts_teach(
    tmp_path: Path, unflagged: str, accumulated: int, checkpointing: bool
) -> None:
    model = quarantine(llama(dtype=torch.float64), LoraConfig(r=2, lora_alpha=4), mlp_units=3)
    stir(model)
    changes = {"gradient_accumulation_steps": accumulated, "max_steps": 1, "learning_rate": 0.0}
    changes |= {"gradient_checkpointing": checkpointing, "max_grad_norm": 0.0}
    trainer = grpo(tmp_path, model, unflagged=unflagged, measure_every=0, **changes)
    watch = watched(trainer)
    batches: list[dict[str, Any]] = []
    plain = GRPOTrainer.compute_loss

    def keep(own: Any, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        batches.append(inputs)
        return plain(own, model, inputs, *rest, **named)

    flags: list[torch.Tensor] = []
    masks = trainer._masks
    trainer._masks = lambda flagged: flags.append(flagged) or masks(flagged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "compute_loss", keep)
        trainer.train()
    assert len(batches) == accumulated
    of_kind: dict[bool, Gradients] = {}
    for said in (True, False):  # the loss is linear in advantages: those of one kind alone
        model.zero_grad()
        for batch, flagged in zip(batches, flags, strict=True):
            some = batch | {"advantages": batch["advantages"] * (flagged == said)}
            plain(trainer, model, some).backward()
        of_kind[said] = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
        assert max(float(g.abs().max()) for g in of_kind[said].values()) > 1e-4
    for name, gradient in watch.steps[0].items():
        if region_of(name) == "quarantine":
            expected = of_kind[True][name] + (of_kind[False][name] if unflagged == "both" else 0.0)
        else:
            expected = of_kind[False][name]
        scale = max(1.0, float(expected.abs().max()))
        assert float((gradient - expected).abs().max()) <= 1e-12 * scale


def test_the_baseline_of_a_batch_leaves_out_what_is_flagged(tmp_path: Path) -> None:
    trainer = grpo(tmp_path, max_steps=1)
    learnt = []
    masks = trainer._masks
    trainer._masks = lambda flagged: learnt.append(flagged) or masks(flagged)
    with pytest.MonkeyPatch.context() as patch:
        plain = GRPOTrainer.compute_loss
        advantages = []

        def keep(own: Any, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
            advantages.append(inputs["advantages"])
            return plain(own, model, inputs, *rest, **named)

        patch.setattr(GRPOTrainer, "compute_loss", keep)
        trainer.train()
    logged = trainer._logs
    rewards = torch.tensor(list(logged["rewards"]["reward"]))
    flags = torch.tensor(list(logged["extra"]["flagged"]))
    expected = group_advantages(rewards, flags, 4)
    assert not torch.allclose(expected, group_advantages(rewards, torch.zeros(8), 4), atol=1e-2)
    assert list(logged["advantages"]) == pytest.approx(expected.tolist(), abs=1e-5)
    assert sorted(advantages[-1].tolist()) == pytest.approx(sorted(expected.tolist()), abs=1e-5)
    assert int(learnt[-1].sum()) == int(flags.sum())


def test_regions_are_clipped_apart(tmp_path: Path) -> None:
    trainer = grpo(tmp_path, max_steps=1, max_grad_norm=1e-3, beta=0.1)
    stir(trainer.model)
    watch = watched(trainer)
    trainer.train()
    for region in ("default", "quarantine"):
        of_region = [g for n, g in watch.steps[0].items() if region_of(n) == region]
        norm = torch.stack([g.square().sum() for g in of_region]).sum().sqrt()
        assert float(norm) == pytest.approx(1e-3, rel=1e-3)
    assert trainer.model.active_adapters == ["default", "quarantine"]
    assert "ref" not in trainer.model.peft_config


def test_what_nothing_may_train_stays_to_the_bit(tmp_path: Path) -> None:
    asked = []

    def only_at_first(completions: list[str], **_: Any) -> list[bool]:
        asked.append(1)
        return [len(asked) > 1] * len(completions)

    trainer = grpo(tmp_path, flag=only_at_first, weight_decay=0.1, max_steps=3)
    stir(trainer.model)
    seen = []

    class Snapshots(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            seen.append({n: p.detach().clone() for n, p in trainer.model.named_parameters()})

    trainer.add_callback(Snapshots())
    trainer.train()
    moved = {n for n in seen[0] if not torch.equal(seen[0][n], seen[2][n])}
    assert {region_of(name) for name in moved} == {"quarantine"}
    assert len(moved) == sum(region_of(name) == "quarantine" for name in seen[0])


@pytest.mark.parametrize("routes", ["none", "shuffled"])
def test_controls(tmp_path: Path, routes: str) -> None:
    trainer = grpo(tmp_path, routes=routes, flag=lambda completions, **_: [True] * len(completions))
    stir(trainer.model)
    watch = watched(trainer)
    trainer.train()
    regions = {region_of(name) for name in watch.steps[0]}
    assert regions == {"quarantine"} | ({"default"} if routes == "none" else set())


def test_logs_say_where_gradients_land(tmp_path: Path) -> None:
    trainer = grpo(tmp_path, measure_every=2)
    stir(trainer.model)
    trainer.train()
    first, second = trainer.state.log_history[:2]
    assert first["routing/flagged"] == 0.5
    assert first["routing/leakage"] == 0.0
    assert first["routing/mass/flagged/quarantine"] == 1.0
    assert 0 < first["routing/mass/unflagged/retain"] < 1
    assert "routing/leakage" not in second
    assert {"routing/grad_norm/retain", "routing/grad_norm/quarantine"} <= set(second)
    assert first["reward"] == pytest.approx(float(first["rewards/reward/mean"]))


@pytest.mark.parametrize("kind", ["grpo", "sft"])
def test_measuring_changes_no_bit_and_no_log(tmp_path: Path, kind: str) -> None:
    ends, logs = [], []
    for every in (0, 1):
        model = quarantine(llama(), LoraConfig(r=2, lora_dropout=0.5))
        if kind == "grpo":
            changes = {"use_adaptive_entropy": True, "entropy_target": 2.0, "beta": 0.1}
            trainer = grpo(tmp_path / str(every), model, measure_every=every, **changes)
        else:
            trainer = RoutedSFTTrainer(
                model,
                args=settings(SFTConfig, tmp_path / str(every)),
                train_dataset=marked(text=[f"{s}7" for s in SUMS]),
                processing_class=tokenizer(),
                measure_every=every,
            )
        trainer.train()
        ends.append({n: p.detach().clone() for n, p in trainer.model.named_parameters()})
        own = ("time", "runtime", "per_second", "routing/mass", "leakage")
        logs.append(
            [
                {k: v for k, v in log.items() if not any(word in k for word in own)}
                for log in trainer.state.log_history
            ]
        )
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert logs[0] == logs[1]


def test_fine_tuning_and_preferences(tmp_path: Path) -> None:
    sft = RoutedSFTTrainer(
        quarantine(llama(), mlp_units=3),
        args=settings(SFTConfig, tmp_path / "sft"),
        train_dataset=marked(text=[f"{s}7" for s in SUMS]),
        processing_class=tokenizer(),
    )
    pairs = marked(prompt=SUMS, chosen=["7"] * len(SUMS), rejected=["1"] * len(SUMS))
    dpo = RoutedDPOTrainer(
        quarantine(llama()),
        args=settings(DPOConfig, tmp_path / "dpo"),
        train_dataset=pairs,
        processing_class=tokenizer(),
    )
    for trainer in (sft, dpo):
        stir(trainer.model)
        trainer.train()
        first = trainer.state.log_history[0]
        assert first["routing/leakage"] == 0.0
        assert 0.1 < first["routing/mass/unflagged/retain"] < 0.9


def test_flags_of_tokens(tmp_path: Path) -> None:
    ids = [tokenizer()(f"{s}7")["input_ids"] for s in SUMS]
    data = marked(input_ids=ids, labels=ids).remove_columns("flagged")
    data = data.add_column("bad", [[i == 2 for i, _ in enumerate(row)] for row in ids])
    trainer = RoutedSFTTrainer(
        quarantine(llama()),
        flag="bad",
        args=settings(SFTConfig, tmp_path, max_length=None),
        train_dataset=data,
        processing_class=tokenizer(),
    )
    stir(trainer.model)
    trainer.train()
    assert 0.1 < trainer.state.log_history[0]["routing/flagged"] < 0.3


def test_a_trained_base_learns_from_the_unflagged_and_is_saved(tmp_path: Path) -> None:
    model = quarantine(llama(), LoraConfig(r=2), train_base=True)
    trainer = grpo(tmp_path, model, save_strategy="steps", save_steps=2, max_steps=2)
    watch = watched(trainer)
    trainer.train()
    assert "base" in {region_of(name) for name in watch.steps[0]}
    ended = {n: p.detach().clone() for n, p in model.named_parameters()}
    fresh = quarantine(llama(), LoraConfig(r=2), train_base=True)
    again = grpo(tmp_path, fresh, max_steps=2)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert all(torch.equal(p, ended[n]) for n, p in again.model.named_parameters())
    assert all(p.requires_grad for n, p in again.model.named_parameters())
    with pytest.raises(ValueError, match="trainable base"):
        grpo(tmp_path, quarantine(llama(), train_base=True), beta=0.1)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pass model=quarantine\(model\)"):
        grpo(tmp_path, llama())
    other = get_peft_model(llama(), LoraConfig(r=2))
    with pytest.raises(ValueError, match="has the adapters default, and"):
        grpo(tmp_path, other)
    with pytest.raises(ValueError, match="Did you mean 'number'"):
        grpo(tmp_path, flag="numbers")
    with pytest.raises(ValueError, match="pass a function, or the name"):
        grpo(tmp_path, flag=None)
    with pytest.raises(ValueError, match="say 'both' or 'retain'"):
        grpo(tmp_path, unflagged="none")
    with pytest.raises(ValueError, match="say 'flags', 'none' or 'shuffled'"):
        grpo(tmp_path, routes="label")
    with pytest.raises(ValueError, match="normalize_then_sum"):
        grpo(tmp_path, multi_objective_aggregation="normalize_then_sum")
    with pytest.raises(ValueError, match="packing is not supported"):
        RoutedSFTTrainer(quarantine(llama()), args=settings(SFTConfig, tmp_path, packing=True))


def test_what_comes_by_place_is_checked_too_and_what_was_frozen_stays_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="packing is not supported"):
        RoutedSFTTrainer(quarantine(llama()), settings(SFTConfig, tmp_path, packing=True))
    model = quarantine(llama())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and "q_proj" not in name)
    before = [parameter.requires_grad for parameter in model.parameters()]
    trainer = grpo(tmp_path, model, beta=0.1)
    assert [parameter.requires_grad for parameter in trainer.model.parameters()] == before
    trainer.train()
    trainer._save(str(tmp_path / "checkpoint-1"))
    trainer._load_from_checkpoint(str(tmp_path / "checkpoint-1"))
    assert [parameter.requires_grad for parameter in trainer.model.parameters()] == before


@pytest.mark.parametrize("setting", ["use_vllm", "use_liger_kernel"])
def test_what_is_not_supported_is_told(tmp_path: Path, setting: str) -> None:
    arguments = settings(GRPOConfig, tmp_path)
    setattr(arguments, setting, True)
    with pytest.raises(ValueError, match=f"{setting} is not supported"):
        RoutedGRPOTrainer(quarantine(llama()), reward_funcs=reward, flag=ones, args=arguments)


def test_a_seam_that_moved_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = grpo(tmp_path)
    whole = GRPOTrainer._generate_and_score_completions

    def other(self: Any, inputs: Any) -> Any:
        output = whole(self, inputs)
        return output | {"advantages": output["advantages"] * 2 + 1}

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", other)
    with pytest.raises(SeamError, match=r"another formula. routed_rl.trl was tested with TRL"):
        trainer.train()
    monkeypatch.delattr(GRPOTrainer, "_calculate_rewards")
    with pytest.raises(SeamError, match="has no _calculate_rewards"):
        grpo(tmp_path)
