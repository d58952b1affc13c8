"""Adam with two moments of two gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from tiny_language import llama, reward, settings, some_ones, stir, sums, tokenizer
from torch import nn
from trl import GRPOConfig

from routed_rl.trl import RoutedGRPOTrainer, quarantine
from routed_rl.trl.adapters import region_of
from routed_rl.trl.optimizer import SplitAdamW

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]


def test_with_one_gradient_it_is_adamw() -> None:
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    options: dict[str, Any] = {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.05}
    steps = (SplitAdamW([ours], {}, **options), torch.optim.AdamW([theirs], **options))
    for turn in range(4):
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = None if turn == 2 else torch.arange(5.0) - turn
            optimizer.step()
        torch.testing.assert_close(ours, theirs)


def test_a_closure_is_called_with_gradient_and_its_loss_is_returned() -> None:
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = SplitAdamW([parameter], {}, lr=0.5, weight_decay=0.0, eps=0.0)

    def closure() -> float:
        loss = parameter.square().sum()
        loss.backward()
        return float(loss)

    assert optimizer.step(closure) == 9.0
    assert parameter.tolist() == [2.5]
    assert optimizer.step() is None


def test_moments_and_decay_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    whole = torch.zeros(1)
    options = {"lr": 0.1, "betas": (0.5, 0.75), "weight_decay": 2.0, "eps": 1.0}
    optimizer = SplitAdamW([parameter], {id(parameter): whole}, **options)
    at = 1.0
    mean = square = 0.0
    for step, (routed, all_of_it) in enumerate(((2.0, 4.0), (-1.0, 2.0), (0.0, 3.0)), 1):
        parameter.grad = torch.tensor([routed])
        whole[0] = all_of_it
        optimizer.step()
        mean = 0.5 * mean + 0.5 * routed
        square = 0.75 * square + 0.25 * all_of_it**2
        root = (square / (1 - 0.75**step)) ** 0.5 + 1.0
        at = at * (1 - 0.1 * 2.0) - 0.1 * mean / (1 - 0.5**step) / root
        assert parameter.item() == pytest.approx(at, rel=1e-6)


def test_a_gradient_of_half_the_size_makes_half_a_step() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    whole = torch.tensor([4.0, -2.0])
    optimizer = SplitAdamW([parameter], {id(parameter): whole}, lr=0.1, weight_decay=0.0, eps=0.0)
    parameter.grad = whole / 2
    optimizer.step()
    assert parameter.tolist() == pytest.approx([-0.05, 0.05])


@pytest.mark.parametrize("clipped", [0.0, 1e-3])
def test_a_trainer_keeps_the_gradient_without_routes(tmp_path: Path, clipped: float) -> None:
    kept: dict[str, dict[str, torch.Tensor]] = {}
    for routes in ("flags", "none"):
        model = quarantine(llama(dtype=torch.float64), LoraConfig(r=2), mlp_units=3)
        stir(model)
        changes = {"gradient_accumulation_steps": 2, "max_steps": 1, "max_grad_norm": clipped}
        trainer: Any = RoutedGRPOTrainer(
            model,
            reward_funcs=reward,
            flag=some_ones,
            routes=routes,
            split_moment=routes == "flags",
            measure_every=0,
            args=settings(GRPOConfig, tmp_path, **changes, learning_rate=1e-3),
            train_dataset=sums(),
            processing_class=tokenizer(),
        )
        drop = trainer.drop_untaught

        def look(trainer: Any = trainer, drop: Any = drop, routes: str = routes) -> None:
            drop()
            named = trainer.model.named_parameters()
            of = trainer._unrouted if routes == "flags" else {}
            found = {n: of.get(id(p), p.grad) for n, p in named if p.grad is not None}
            kept[routes] = {n: gradient.clone() for n, gradient in found.items()}

        trainer.drop_untaught = look
        trainer.train()
        assert isinstance(trainer.optimizer.optimizer, SplitAdamW) == (routes == "flags")
    assert kept["flags"].keys() == kept["none"].keys()
    for name, gradient in kept["none"].items():
        own = kept["flags"][name]
        if clipped:  # as much as the routed gradient of its region
            own, gradient = own / own.norm(), gradient / gradient.norm()
        torch.testing.assert_close(own, gradient, atol=1e-12, rtol=1e-9)
    if clipped:
        quarantined = [g for n, g in kept["flags"].items() if region_of(n) == "quarantine"]
        norm = torch.stack([g.square().sum() for g in quarantined]).sum().sqrt()
        assert float(norm) == pytest.approx(clipped, rel=1e-3)


def test_another_optimizer_is_refused(tmp_path: Path) -> None:
    trainer = RoutedGRPOTrainer(
        quarantine(llama()),
        reward_funcs=reward,
        flag=some_ones,
        split_moment=True,
        args=settings(GRPOConfig, tmp_path, optim="sgd"),
        train_dataset=sums(),
        processing_class=tokenizer(),
    )
    with pytest.raises(ValueError, match="optim makes SGD"):
        trainer.train()
