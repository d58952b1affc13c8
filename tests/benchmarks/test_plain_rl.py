"""Our runs of plain reinforcement learning are commands that anybody can repeat."""

from __future__ import annotations

import pytest

from benchmarks.plain_rl import TASKS, flags
from routed_rl.training import builder


@pytest.mark.parametrize("name", TASKS)
def test_our_flags_are_those_of_a_run_of_train(name: str) -> None:
    config = builder.build(flags(name, 3000, 7).split()).config
    assert (config.names.env, config.names.agent) == (name, "oracle")
    assert (config.settings.steps, config.settings.seed, config.settings.device) == (3000, 7, "cpu")
    assert not config.env.show_oversight
