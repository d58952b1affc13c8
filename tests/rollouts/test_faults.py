"""Each rule is broken in one place, and that place is found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import BY_HAND, OPEN, by_hand, random_rollout, two_open_episodes, world

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


def with_value(rollout: Rollout, field: str, place: tuple[int, int], value: Any) -> Rollout:
    """Change one number of a rollout."""
    values = getattr(rollout, field).clone()
    values[place] = value
    return Rollout(**vars(rollout) | {field: values})


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
    ("reported", (1, 0), 0, "of an overseen outcome report one"),
    ("reported", (1, 0), 3, "report 0 or the number of an outcome, 1 to 2"),
    ("reported", (1, 1), 2, "report 0 where nobody looked"),
    ("obs", (1, 2), torch.nan, "must be finite"),
    ("final_obs", (0, 1), torch.inf, "must be finite"),
    ("reward", (1, 1), torch.nan, "must be finite"),
    ("true_reward", (1, 0), torch.inf, "must be finite"),
    ("log_prob", (0, 0), -torch.inf, "no distribution"),
    ("value", (1, 2), torch.nan, "critic"),
]


@pytest.mark.parametrize(("field", "place", "value", "words"), RULES)
def test_a_broken_rule_is_found_in_its_place(
    field: str, place: tuple[int, int], value: Any, words: str
) -> None:
    # An observation is what the step before it led to: that step is the one at fault.
    time, env = place
    expected = [time - 1, env] if field == "obs" else [time, env]
    changed = with_value(sound(), field, place, value)
    found = [(places, remedy) for name, places, remedy in broken(changed) if name == field]
    assert any(places == [expected] and words in remedy for places, remedy in found)


def test_where_outcomes_end_nothing_they_may_come_in_any_step_or_in_none() -> None:
    rollout = two_open_episodes()
    assert broken(rollout, OPEN) == []
    assert rollout.terminated[3, 0] and rollout.outcome[3, 0] == 0, "an end without an outcome"
    # The same in a world that says that outcomes end its episodes: five rules are broken.
    middle = [[1, 0], [1, 1], [2, 0], [2, 1]]
    or_open = "or let outcomes_end be False."
    assert broken(rollout, BY_HAND) == [
        (
            "outcome",
            [[3, 0], [3, 1]],
            f"an episode that terminated must say which outcome it reached, {or_open}",
        ),
        (
            "outcome",
            middle,
            f"an episode that goes on or was truncated has reached nothing, {or_open}",
        ),
        (
            "true_reward",
            [[1, 0], [1, 1]],
            "where outcomes end episodes, a step without one is truly worth what it pays; "
            + or_open,
        ),
        (
            "overseen",
            [[0, 0], [1, 0], [2, 0], [4, 0]],
            f"only an outcome that was reached can be overseen, {or_open}",
        ),
        ("reported", [[0, 0], [3, 0], [4, 0]], "of an overseen outcome report one."),
    ]


def test_there_an_outcome_may_also_come_when_time_runs_out_and_be_overlooked() -> None:
    rollout = with_value(two_open_episodes(), "terminated", (3, 0), False)
    rollout = with_value(rollout, "truncated", (3, 0), True)
    rollout = with_value(rollout, "outcome", (3, 0), 2)
    assert rollout.overseen[3, 0] and rollout.reported[3, 0] == 0
    assert broken(rollout, OPEN) == []


OPEN_RULES = [
    ("outcome", (0, 1), 3, "the number of an outcome, 1 to 2"),
    ("outcome", (0, 1), -1, "the number of an outcome, 1 to 2"),
    ("truncated", (3, 1), True, "was not truncated"),
    ("reported", (0, 0), 3, "report 0 or the number of an outcome, 1 to 2"),
    ("reported", (1, 1), 2, "report 0 where nobody looked"),
    ("true_reward", (2, 1), torch.nan, "must be finite"),
]


@pytest.mark.parametrize(("field", "place", "value", "words"), OPEN_RULES)
def test_there_too_each_other_rule_is_kept(
    field: str, place: tuple[int, int], value: Any, words: str
) -> None:
    found = broken(with_value(two_open_episodes(), field, place, value), OPEN)
    assert len(found) == 1
    assert found[0][:2] == (field, [list(place)])
    assert words in found[0][2]
