"""An exact world in a page: its tables, its board, and what the policies compute in each state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from routed_rl.models.policy import Policy
from routed_rl.pages import blob
from routed_rl.pages.heads import Heads, take_apart
from routed_rl.worlds.spec import EnvSpec
from routed_rl.worlds.tables import Board, TabularMDP

MOST_BYTES = 1_700_000
"""Of the policies' numbers, which hardly compress; in base64 they take a third more."""
SEED = 0
"""Chooses the placements that a page has of a world that is too large for it."""


def describe(policies: Mapping[str, Policy], spec: EnvSpec, model: TabularMDP) -> dict[str, Any]:
    """Write down a world and an agent's policies in it, as far as they fit into a page.

    Returns:
        What `world.js` reads; empty if the world is none of cells.
    """
    board = model.board
    if board is None:
        return {}
    states = _that_fit(model, board, numbers=len(policies) * (spec.num_actions + 1))
    if states is None:
        return {}
    heads = take_apart(policies, model.observe(states))
    numbers, units = _numbers(heads)
    return {
        "rows": board.rows,
        "columns": board.columns,
        "things": board.things,
        "moves": board.moves.tolist(),
        "walls": board.walls.nonzero().flatten().tolist(),
        "shown": list(board.shown),
        "horizon": spec.horizon,
        "discount": spec.discount,
        "whole": len(states) == len(model.next_state),
        "heads": heads.names,
        "experts": heads.experts,
        "gate": heads.gate is not None,
        "weights": heads.weights,
        "units": units,
        **blob.pack(_tables(model, board, states) | numbers),
    }


def _that_fit(model: TabularMDP, board: Board, numbers: int) -> Tensor | None:
    """Choose the states that a page can hold, whole placements of things: (n,) int64.

    Args:
        model: the world.
        board: its board.
        numbers: that a page holds of each state.

    Returns:
        None if there are too many, and moves change where things are.
    """
    count = len(model.next_state)
    every = torch.arange(count, device=board.cells.device)
    most = MOST_BYTES // (2 * numbers)
    if count <= most:
        return every
    _, placement = board.cells[:, 1:].unique(dim=0, return_inverse=True)  # (S,)
    after = placement[model.next_state]  # (S, A)
    if not bool(((after == placement[:, None]) | model.terminates).all()):
        return None
    sizes = placement.bincount()
    generator = torch.Generator().manual_seed(SEED)
    order = torch.randperm(len(sizes), generator=generator).to(sizes.device)
    chosen = order[sizes[order].cumsum(dim=0) <= most]
    return every[torch.isin(placement, chosen)]


def _tables(model: TabularMDP, board: Board, states: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tables of n states that no move leaves, with numbers of their own."""
    number = torch.zeros(len(model.next_state), dtype=torch.int64, device=states.device)
    number[states] = torch.arange(len(states), device=states.device)
    powers = 2 ** torch.arange(model.overseen_ends.shape[1], device=states.device)
    shown = torch.zeros_like(states)
    for bit, words in enumerate(board.shown.values()):
        shown += words[states].long() << bit
    start = model.start_probability[states].double()
    tables = {
        "cells": board.cells[states].T.to(torch.int16),  # (1 + T, n)
        "overseen": (model.overseen_ends[states] * powers).sum(dim=1).to(torch.uint8),
        "shown": shown.to(torch.uint8),
        "next": number[model.next_state[states]].to(torch.int32),
        "outcome": model.outcome[states].to(torch.uint8),
        "ends": model.terminates[states].to(torch.uint8),
        "reward": model.true_reward[states].to(torch.float32),
        "start": (start / start.sum().clamp(min=1e-300)).to(torch.float32),
    }
    return {name: table.cpu().numpy() for name, table in tables.items()}


def _numbers(heads: Heads) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, float]]:
    """Round what policies compute to 16 bits; return it, and the unit of each table."""
    # A number that is added to all logits of a state changes nothing: so they become smaller.
    centred = heads.parts - heads.parts.mean(dim=2, keepdim=True)
    parts, unit = blob.rounded(centred.cpu().numpy())
    rest, rest_unit = blob.rounded(heads.rest.cpu().numpy())
    found: dict[str, np.ndarray[Any, Any]] = {"parts": parts, "rest": rest}
    if heads.gate is not None:
        found["gate"] = (heads.gate * 65535).round().cpu().numpy().astype(np.uint16)
    return found, {"parts": unit, "rest": rest_unit}
