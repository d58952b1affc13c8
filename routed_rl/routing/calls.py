"""Calls of modules while a model is routed: hooks of all modules, which look up what is open.

Nothing is changed in a model: the hooks are torch's global ones, and there only while a block is
open. So its copies, pickles and state are those of a plain model, inside a block too.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from functools import cache
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules import module as all_modules
from torch.utils.hooks import RemovableHandle


class Block(Protocol):
    """What is open: it is told of every call of the modules that it watches."""

    compiles: bool
    """Whether compiled graphs may go on through its hooks."""
    watched: set[int]
    """Their ids: a compiled graph is guarded by these, and not by what a mapping holds."""

    def enter(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """A module is about to run; the answer stands in for its arguments."""
        ...

    def leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """A module has run; the answer stands in for its output."""
        ...


class _Thread(threading.local):
    """The open blocks of a thread, the innermost last."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []


_thread = _Thread()
_all_open: list[Block] = []
"""Those of all threads."""
_watched: Counter[int] = Counter()
"""How many of them watch a module."""
_handles: list[RemovableHandle] = []
_fast_path: list[bool] = []
"""Whether torch's fast path for encoders was on before the first block."""
_lock = threading.Lock()


def current() -> Block | None:
    """Return the innermost block that this thread opened."""
    return _thread.blocks[-1] if _thread.blocks else None


def open_block(block: Block) -> None:
    """Tell a block of this thread's calls from now on."""
    with _lock:
        _all_open.append(block)
        _set_hooks()
        _watched.update(block.watched)
        _thread.blocks.append(block)


def close_block(block: Block) -> None:
    """Stop it; after the last one no hook is left."""
    with _lock:
        _thread.blocks.remove(block)
        _all_open.remove(block)
        for module in block.watched:
            _watched[module] -= 1
            if not _watched[module]:
                del _watched[module]
        _set_hooks()


def _set_hooks() -> None:
    """Have hooks while a block is open.

    They keep their numbers, for which compiled graphs are made.
    """
    if not _handles:
        _handles.append(all_modules.register_module_forward_pre_hook(_before))  # pyright: ignore[reportArgumentType]
        _handles.append(all_modules.register_module_forward_hook(_after))
        # A compiled model's own wrapper is nobody's rule, so hooks may fire for it.
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global")
    before, after = _handles
    if not _all_open:
        before.remove()
        after.remove()
        torch.backends.mha.set_fastpath_enabled(_fast_path.pop())
        return
    if not _fast_path:  # it passes torch's encoder layers by without calling what is in them
        _fast_path.append(torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(value=False)
    compiles = all(block.compiles for block in _all_open)
    told_before, told_after = (_before, _after) if compiles else _eager()
    all_modules._global_forward_pre_hooks[before.id] = told_before
    all_modules._global_forward_hooks[after.id] = told_after
    all_modules._global_forward_hooks_with_kwargs[after.id] = True
    all_modules._global_forward_hooks_always_called[after.id] = True


def _block_for(module: nn.Module) -> Block | None:
    """Return the block that a call of a module is told to."""
    blocks = _thread.blocks
    if not blocks and torch._C._current_graph_task_id() != -1:
        # A backward pass computes again, perhaps in a thread of its own.
        blocks = [block for block in _all_open if id(module) in block.watched]
    return blocks[-1] if blocks and id(module) in blocks[-1].watched else None


def _before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return _told_before(module, args) if id(module) in _watched else None


def _after(module: nn.Module, args: tuple[Any, ...], *kwargs_and_output: Any) -> Any:
    # After an error in a forward, torch leaves the keyword arguments out.
    return _told_after(module, args, *kwargs_and_output) if id(module) in _watched else None


def _told_before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    block = _block_for(module)
    return None if block is None else block.enter(module, args)


def _told_after(module: nn.Module, args: tuple[Any, ...], *kwargs_and_output: Any) -> Any:
    block = _block_for(module)
    *kwargs, output = kwargs_and_output
    return None if block is None else block.leave(module, args, kwargs[0] if kwargs else {}, output)


@cache
def _eager() -> tuple[Any, Any]:
    """Return the hooks for what cannot be compiled. This imports torch's compiler, a second."""
    return torch.compiler.disable(_before), torch.compiler.disable(_after)


def in_backward() -> bool:
    """Say whether this thread is in a backward pass, which computes something again."""
    return torch._C._current_graph_task_id() != -1


def is_reentrant() -> bool:
    """Say whether a reentrant checkpoint computes again."""
    node = torch._C._current_autograd_node()
    return node is not None and "CheckpointFunction" in node.name()
