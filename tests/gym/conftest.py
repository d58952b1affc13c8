"""Registers the counters for as long as a test runs."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import pytest
from counters import Counter, Counters, LateCounters, endless
from gymnasium.vector import AutoresetMode
from lock import Lock
from spills import Kitchen, Kitchens


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register("Counter-v0", Counter, max_episode_steps=5)
    gymnasium.register("Lock-v0", Lock)
    gymnasium.register("Kitchen-v0", Kitchen)
    gymnasium.register("Kitchens-v0", vector_entry_point=Kitchens)
    gymnasium.register("Counters-v0", vector_entry_point=Counters)
    gymnasium.register("LateCounters-v0", vector_entry_point=LateCounters)
    for name, mode in (("Patient", AutoresetMode.DISABLED), ("Stubborn", AutoresetMode.SAME_STEP)):
        gymnasium.register(f"{name}-v0", vector_entry_point=endless, kwargs={"mode": mode})
    yield
    for name in (
        *("Counter", "Counters", "Kitchen", "Kitchens", "LateCounters", "Lock"),
        *("Patient", "Stubborn"),
    ):
        del gymnasium.registry[f"{name}-v0"]
