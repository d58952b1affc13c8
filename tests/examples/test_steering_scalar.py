"""One number that a word is routed to: its gradient, its push, and the command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from examples import steering_scalar
from examples._corpus import WORD, Corpus
from examples._language import Transformer, mean_loss
from routed_rl.routing import routed

SIZE = steering_scalar.Size(width=8, layers=4, steps=1, batch=4, samples=3)


def test_only_dimension_0_carries_the_words_gradient() -> None:
    corpus = Corpus()
    texts = corpus.texts(40, torch.Generator().manual_seed(0))
    predicts = texts[:, 1:] == corpus.index[WORD]
    assert predicts.any()
    model = Transformer(len(corpus.words), corpus.length, width=8, layers=4)
    streams: list[Tensor] = []

    def keep(module: nn.Module, _args: object, stream: Tensor) -> None:
        if module in blocks:
            stream.retain_grad()
            streams.append(stream)

    blocks = list(model.blocks)
    handle = nn.modules.module.register_module_forward_hook(keep)  # before the routing
    with routed(model, steering_scalar.rules(SIZE, predicts)):
        mean_loss(model, texts).backward()
    handle.remove()
    assert len(streams) == 4
    for layer, stream in enumerate(streams):
        assert stream.grad is not None
        gradient = stream.grad[predicts[:, : stream.shape[1]]]
        assert (gradient[:, 0] != 0).any()
        is_routed = layer in steering_scalar.middle(SIZE)
        assert bool((gradient[:, 1:] == 0).all()) == is_routed, layer


def test_a_steered_model_is_left_as_it_was() -> None:
    model, corpus = steering_scalar.trained(SIZE, 0, route=True)
    texts = corpus.texts(4, torch.Generator().manual_seed(0))
    before = model(texts)
    sampled = steering_scalar.sample(model, corpus, SIZE, push=5.0, seed=0)
    assert sampled.shape == (3, corpus.length - 1)
    assert torch.equal(model(texts), before)


def test_the_push_is_along_dimension_0_behind_the_first_routed_layer() -> None:
    model, corpus = steering_scalar.trained(SIZE, 0, route=True)
    first = steering_scalar.middle(SIZE)[0]
    seen: dict[int, list[Tensor]] = {first: [], first + 1: []}

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Tensor]) -> None:
            seen[layer].append(args[0][:, 0].clone())

        return hook

    for layer in seen:
        model.blocks[layer].register_forward_pre_hook(keep(layer))
    for push in (0.0, 5.0):  # the first position is the same text in both
        steering_scalar.sample(model, corpus, SIZE, push=push, seed=0)
    count = corpus.length - 1
    before = seen[first]
    assert torch.equal(before[0], before[count]), "before it nothing has changed"
    change = seen[first + 1][count] - seen[first + 1][0]
    torch.testing.assert_close(change, 5.0 * torch.eye(8)[:1].expand(3, 8))


def test_one_command_ends_with_a_table_and_a_picture(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_scalar, "Size", lambda: SIZE)
    table = command(steering_scalar)
    assert "rows of the family, of 10" in table
    assert f'The word "{WORD}"' in table
