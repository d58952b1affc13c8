"""Who is told of a call: the block of the thread that calls, and in a backward pass its own."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as all_modules
from torch.utils.checkpoint import checkpoint

from routed_rl.routing import Activations, Parameters, calls, routed

EVEN = torch.tensor([True, False])
X = torch.ones(2, 3)


class Told:
    """A block that notes what it is told."""

    def __init__(self, *modules: nn.Module, compiles: bool = True) -> None:
        self.compiles = compiles
        self.watched = set(map(id, modules))
        self.calls: list[str] = []
        self.keywords: list[str] = []

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.calls.append(f"enter {type(module).__name__}")

    def leave(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        self.calls.append(f"leave {type(module).__name__}")
        self.keywords += kwargs


ONCE = ["enter Linear", "leave Linear"]


@contextmanager
def opened(block: Told) -> Iterator[Told]:
    calls.open_block(block)
    try:
        yield block
    finally:
        calls.close_block(block)


def in_a_thread(work: Callable[[], Any]) -> None:
    """Do something in another thread, and raise what it raises."""
    raised: list[BaseException] = []

    def caught() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=caught)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def test_the_innermost_block_alone_is_told_of_the_modules_that_it_watches() -> None:
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3)
    with opened(Told(layer)) as outer:
        assert calls.current() is outer
        with opened(Told(layer)) as middle, opened(Told(other)) as inner:
            assert calls.current() is inner
            layer(X)
            other(input=X)
        assert (middle.calls, inner.calls, inner.keywords) == ([], ONCE, ["input"])
        assert outer.calls == []
        layer(X)  # that others watched it, too, is over
        assert outer.calls == ONCE
    layer(X)
    assert outer.calls == ONCE


def test_nothing_is_left_when_the_last_block_closes() -> None:
    layer = nn.Linear(3, 3)
    before = len(all_modules._global_forward_hooks)
    with opened(Told(layer)), opened(Told(layer)):
        assert len(all_modules._global_forward_hooks) == before + 1
    assert calls.current() is None
    assert not calls._watched and not calls._all_open
    assert len(all_modules._global_forward_hooks) == before


def test_a_thread_without_a_block_is_not_told_of() -> None:
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3)
    with opened(Told(layer)) as mine:
        in_a_thread(lambda: layer(X))
        assert mine.calls == []

        def with_its_own() -> None:
            with opened(Told(other)) as own:
                layer(X)
                assert own.calls == []

        in_a_thread(with_its_own)
    assert mine.calls == []


def test_what_a_backward_pass_computes_again_is_told_to_who_watches_it() -> None:
    layer, other = nn.Linear(3, 3), nn.Linear(3, 3)

    def loss() -> Tensor:
        return checkpoint(layer, X, use_reentrant=False).sum()  # type: ignore[union-attr]

    with opened(Told(layer)) as mine:
        losses = [loss() for _ in range(2)]
        mine.calls.clear()

        def beside_others() -> None:
            with opened(Told(other)):
                in_a_thread(losses[0].backward)

        in_a_thread(beside_others)
        assert mine.calls[:1] == ONCE[:1], "by a thread that has no block"
        mine.calls.clear()

        def beside_another_of_the_same() -> None:
            with opened(Told(layer)) as own:
                own_loss = loss()
                own.calls.clear()
                mine.calls.clear()
                own_loss.backward()
                assert own.calls[:1] == ONCE[:1]

        in_a_thread(beside_another_of_the_same)
        assert mine.calls == [], "by a thread that has its own"
        with opened(Told(other)):
            losses[1].backward()
        assert mine.calls == [], "nor by ours, with another inside"


def test_a_forward_that_fails_is_left_and_its_error_is_what_one_sees() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("of its own")

    model = Fails()
    own = model.scale
    rules = {"": Activations(EVEN, output=0), "scale": Parameters(EVEN)}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with routed(model, rules, allow_unused=True):
            with pytest.raises(RuntimeError, match=r"^of its own$"):
                model(X)
            assert model.scale is own
    assert not warned


def test_compiled_graphs_go_on_through_hooks_where_all_blocks_allow_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apart = (lambda *_: None, lambda *_: None)
    monkeypatch.setattr(calls, "_eager", lambda: apart)
    layer = nn.Linear(3, 3)
    there = {
        calls._before: all_modules._global_forward_pre_hooks,
        calls._after: all_modules._global_forward_hooks,
    }
    for inner, expected in ((True, tuple(there)), (False, apart)):
        with opened(Told(layer)), opened(Told(layer, compiles=inner)):
            for hook, hooks in zip(expected, there.values(), strict=True):
                assert hook in hooks.values()
    assert routed(layer, {"": Activations(EVEN)}, allow_unused=True).__enter__() is layer
    block = calls.current()
    assert block is not None
    assert block.compiles is True
    calls.close_block(block)
    with routed(layer, {"": Parameters(EVEN)}, allow_unused=True):
        block = calls.current()
        assert block is not None and block.compiles is False


def test_torch_does_not_warn_of_our_hooks_when_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_handles", [])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with opened(Told()):
            warnings.warn("Using `torch.compile(module)` when there are global hooks", stacklevel=1)
            warnings.warn("another", stacklevel=1)
    assert [str(w.message) for w in warned] == ["another"]
