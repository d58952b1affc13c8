"""Each rule is broken in one place, and that place is found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import BY_HAND, by_hand, random_rollout, world

from routed_rl.rollouts.faults import find_faults
from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.spec import EnvSpec


def sound() -> Rollout:
    """Nothing happens in step 0; in step 1 a diamond, seen; a ghost, unseen; and time runs out."""
    return by_hand(
        outcome=[[0, 0, 0], [1, 2, 0]],
        overseen=[[0, 0, 0], [1, 0, 0]],
        truncated=[[0, 0, 0], [0, 0, 1]],
    )


def broken(rollout: Rollout, spec: EnvSpec = BY_HAND) -> list[tuple[str, list[list[int]], str]]:
    """List the rules that are broken, with the places (t, b) where they are."""
    faults = [fault for fault in find_faults(rollout, spec) if fault.wrong.any()]
    return [(fault.field, fault.wrong.nonzero().tolist(), fault.remedy) for fault in faults]


def test_a_sound_rollout_has_no_fault() -> None:
    assert broken(sound()) == []
    env = world(4, oversight=0.5)
    assert broken(random_rollout(env, 40), env.spec) == []


RULES = [
    ("outcome", (1, 0), 3, "the number of an outcome, 1 to 2"),
    ("outcome", (1, 1), 0, "must say which outcome"),
    ("outcome", (0, 2), 1, "has reached nothing"),
    ("truncated", (1, 1), True, "was not truncated"),
    ("overseen", (0, 1), True, "only an outcome that was reached"),
    ("reported", (1, 0), 0, "report one, 1 to 2"),
    ("reported", (1, 0), 3, "report one, 1 to 2"),
    ("reported", (1, 1), 2, "report 0"),
    ("obs", (1, 2), torch.nan, "must be finite"),
    ("final_obs", (0, 1), torch.inf, "must be finite"),
    ("reward", (1, 1), torch.nan, "must be finite"),
    ("log_prob", (0, 0), -torch.inf, "no distribution"),
    ("value", (1, 2), torch.nan, "critic"),
]


@pytest.mark.parametrize(("field", "place", "value", "words"), RULES)
def test_a_broken_rule_is_found_in_its_place(
    field: str, place: tuple[int, int], value: Any, words: str
) -> None:
    rollout = sound()
    values = getattr(rollout, field).clone()
    values[place] = value
    # An observation is what the step before it led to: that step is the one at fault.
    time, env = place
    expected = [time - 1, env] if field == "obs" else [time, env]
    changed = Rollout(**vars(rollout) | {field: values})
    found = [(places, remedy) for name, places, remedy in broken(changed) if name == field]
    assert any(places == [expected] and words in remedy for places, remedy in found)
