"""A block and the world around it: copies, errors, forks, threads, blocks in blocks."""

from __future__ import annotations

import copy
import os
import pickle
import threading

import pytest
import torch
from mixed_batch import EVERYBODY, FIRST, NOBODY, batch, grads
from torch import Tensor, nn

from routed_rl.routing import Activations, Parameters, routed


def test_copies_and_pickles_made_inside_a_block_are_plain() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4, batch_first=True)).double()
    x = batch(5, 4)
    plain = grads(model, x, lambda x: model(x)[0], {})
    with routed(model, {"0": Parameters(NOBODY), "1": NOBODY}):
        model(x)
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        assert list(model.state_dict()) == list(copies[0].state_dict())
        found = []
        for other in copies:
            found.append(torch.autograd.grad(other(x)[0].square().sum(), list(other.parameters())))
    for gradients in found:
        for own, expected in zip(gradients, plain[1:], strict=True):
            assert torch.allclose(own, expected)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_behind_after_an_error_inside_a_forward(error: type[BaseException]) -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            self.layer(x)
            raise error

    model = nn.Sequential(Fails(), nn.Linear(4, 4)).double()
    before = {name: id(p) for name, p in model.named_parameters()}
    with pytest.raises(error), routed(model, {"*": Parameters(NOBODY)}):
        model(batch(5, 4))
    assert {name: id(p) for name, p in model.named_parameters()} == before
    assert all(isinstance(p, nn.Parameter) for p in model[0].layer._flat_weights)
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_nothing_stays_behind_after_a_fork() -> None:
    model = nn.Linear(4, 4).double()
    block = routed(model, {"": Parameters(NOBODY)})
    with block:
        model(batch(4))
        child = os.fork()
        if child == 0:
            block.__exit__(None)
            os._exit(len(nn.modules.module._global_forward_hooks))
        model(batch(4)).sum().backward()
    assert os.waitpid(child, 0)[1] == 0
    assert model.weight.grad is not None and (model.weight.grad == 0).all()


class Teaches(nn.Module):
    """Calls itself without gradient on the way, as self-distillation does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor, *, once: bool = False) -> Tensor:
        if once:
            return x @ self.weight
        with torch.no_grad():
            target = self(x, once=True)
        return x @ self.weight - target


def test_a_module_may_call_itself_without_gradient() -> None:
    model = nn.Sequential(Teaches()).double()
    x = batch(4)

    def call(x: Tensor) -> Tensor:
        return model(x) + 1

    ours = grads(model, x, call, {"0": Parameters(FIRST)})
    alone = grads(model, x, lambda x: call(x[:1]), {})
    assert torch.allclose(ours[1], alone[1], rtol=1e-12)


def test_blocks_in_one_another_add_their_rules() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    x = batch(4)
    second = torch.tensor([True, True, False])
    both = grads(model, x, model, {"0": Parameters(FIRST & second), "1": Activations(second)})
    with routed(model, {"0": Parameters(FIRST), "1": Activations(second)}):
        nested = grads(model, x, model, {"0": Parameters(second)})
    for ours, expected in zip(nested, both, strict=True):
        assert torch.equal(ours, expected)


def test_threads_route_one_model_each_by_its_own_mask() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.RMSNorm(4), nn.Linear(4, 4)).double()
    x = batch(4)
    masks = [FIRST, ~FIRST, EVERYBODY, NOBODY]
    alone = [grads(model, x, model, {"*": Parameters(mask)}) for mask in masks]
    wrong: list[int] = []

    parameters = list(model.parameters())

    def work(index: int) -> None:
        own = x.detach().clone().requires_grad_()
        for _ in range(40):
            with routed(model, {"*": Parameters(masks[index])}):
                found = torch.autograd.grad(model(own).square().sum(), [own, *parameters])
            if not all(torch.equal(a, b) for a, b in zip(found, alone[index], strict=True)):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_second_derivatives_through_parameters_are_refused() -> None:
    model = nn.Linear(4, 4).double()
    x = batch(4)
    with routed(model, {"": Parameters(FIRST)}):
        y = model(x).square().sum()
        with pytest.raises(RuntimeError, match="there are first derivatives only"):
            torch.autograd.grad(y, x, create_graph=True)
    with routed(model, {"": Activations(FIRST)}):
        (to_x,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
    to_x.square().sum().backward()
    assert x.grad is not None and (x.grad[1:] == 0).all()
