"""The small transformer, and how it is trained."""

from __future__ import annotations

import pytest
import torch

from examples._language import PAD, Training, Transformer, mean_loss, train, word_losses
from routed_rl.routing import Activations


def test_losses_are_of_the_next_word_and_padding_does_not_count() -> None:
    torch.manual_seed(0)
    model = Transformer(7, 5, width=4, layers=1, heads=2)
    texts = torch.tensor([[1, 2, 3, 4, 5], [1, 6, PAD, PAD, PAD]])
    expected = -model(texts[:, :-1]).log_softmax(dim=-1)
    found = word_losses(model, texts)
    assert torch.allclose(found[0], expected[0].gather(1, texts[0, 1:, None]).squeeze(1))
    assert (found[1, 1:] == 0).all()
    assert torch.allclose(mean_loss(model, texts), (found[0].sum() + found[1, 0]) / 5)
    counted = torch.zeros_like(texts, dtype=torch.bool)
    counted[0, 2] = True
    counted[1, 3] = True
    assert torch.allclose(mean_loss(model, texts, counted), found[0, 1])


def test_a_word_does_not_see_what_comes_after_it() -> None:
    model = Transformer(7, 5, width=4, layers=2, heads=2)
    texts = torch.tensor([[1, 2, 3, 4, 5]])
    changed = texts.clone()
    changed[0, 3] = 6
    assert torch.equal(model(texts)[:, :3], model(changed)[:, :3])
    assert not torch.equal(model(texts)[:, 3:], model(changed)[:, 3:])


def test_the_learning_rate_rises_and_falls() -> None:
    training = Training(steps=100, batch=2, learning_rate=1.0, seed=0)
    assert training.rate(0) == pytest.approx(1 / 20)
    assert training.rate(19) == pytest.approx(0.81)
    assert training.rate(50) == pytest.approx(0.5)
    fixed = Training(steps=100, batch=2, learning_rate=1.0, seed=0, fixed_rate=True)
    assert fixed.rate(0) == fixed.rate(99) == 1.0


def test_minibatches_are_of_texts_and_routed_as_asked() -> None:
    torch.manual_seed(0)
    model = Transformer(7, 5, width=4, layers=1, heads=2)
    texts = torch.randint(1, 7, (6, 5))
    before = [parameter.clone() for parameter in model.blocks.parameters()]
    indices = []
    told: list[int] = []

    def loss(index: torch.Tensor) -> torch.Tensor:
        indices.append(index)
        return mean_loss(model, texts[index])

    def rules(index: torch.Tensor) -> dict[str, Activations]:
        return {"blocks.0": Activations(torch.zeros(len(index), dtype=torch.bool))}

    training = Training(steps=3, batch=4, learning_rate=0.1, seed=0)
    train(model, loss, len(texts), training, rules=rules, after=told.append)
    assert told == [1, 2, 3]
    assert all(len(index.unique()) == 4 for index in indices)
    after = list(model.blocks.parameters())
    assert all(map(torch.equal, before, after)), "nothing flows through what is routed nowhere"
