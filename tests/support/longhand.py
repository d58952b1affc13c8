"""What the design says of a world, in plain loops over one episode at a time.

Slow, and written from the design's text: what the package computes at once for whole rollouts and
whole worlds must be equal to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from random_worlds import World

from routed_rl.rollouts.rollout import Rollout
from routed_rl.worlds.outcomes import Label


class Moment(NamedTuple):
    """One step of one environment."""

    paid: float
    true: float
    terminated: bool
    truncated: bool
    outcome: int
    overseen: bool
    reported: int

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


def moments(rollout: Rollout, env: int) -> list[Moment]:
    """List what one environment did, step by step."""
    columns = [
        rollout.reward,
        rollout.true_reward,
        rollout.terminated,
        rollout.truncated,
        rollout.outcome,
        rollout.overseen,
        rollout.reported,
    ]
    return [Moment(*step) for step in zip(*(x[:, env].tolist() for x in columns), strict=True)]


# Labels


def cut(column: Sequence[Moment], behind: Sequence[bool]) -> list[list[int]]:
    """Cut the times of a column behind each step that is marked; the last piece may be open."""
    pieces: list[list[int]] = [[]]
    for time in range(len(column)):
        pieces[-1].append(time)
        if behind[time]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def episodes(column: Sequence[Moment]) -> list[list[int]]:
    """List the times of each episode."""
    return cut(column, [moment.done for moment in column])


def segments(column: Sequence[Moment]) -> list[list[int]]:
    """List the times of each segment: it ends with an episode, or with an outcome reported."""
    return cut(column, [moment.done or moment.reported > 0 for moment in column])


def label_of(segment: Sequence[Moment], world: World) -> int:
    """Say what is known of a segment."""
    last = segment[-1]
    if last.reported > 0:
        return last.reported
    if not last.done:
        return Label.RUNNING
    for moment in segment:
        # Where outcomes end episodes the world shows to everybody that nothing happened.
        evident = world.outcomes_end and not moment.terminated
        if not moment.overseen and not evident:
            return Label.UNKNOWN
    return Label.NOTHING


class Seen(NamedTuple):
    """What an honest agent knows of a step."""

    label: int
    true: float | None  # None where it is hidden
    all_known: bool  # the true reward of each step of the segment is known


def see(column: Sequence[Moment], world: World) -> list[Seen]:
    """Say what is known of each step."""
    worth = (0.0, *world.worth)
    seen: list[Seen] = []
    for segment in segments(column):
        label = label_of([column[time] for time in segment], world)
        known: list[float | None] = []
        for time in segment:
            moment = column[time]
            if world.outcomes_end and not moment.terminated:
                known.append(moment.paid)  # nothing happened, as everybody sees
            elif moment.overseen:
                # Who is mistaken about what happened is mistaken by what that is worth.
                known.append(moment.true - worth[moment.outcome] + worth[moment.reported])
            else:
                known.append(None)
        seen += [Seen(label, true, None not in known) for true in known]
    return seen


def credited(column: Sequence[Moment], world: World) -> list[set[int]]:
    """Say which labels a step may get where the worst report counts for a whole episode.

    More than one where outcomes are equally bad.
    """
    allowed: list[set[int]] = []
    seen = see(column, world)
    for episode in episodes(column):
        reported = [column[time].reported for time in episode if column[time].reported > 0]
        least = min((world.worth[k - 1] for k in reported), default=None)
        worst = {k for k in reported if world.worth[k - 1] == least}
        allowed += [worst or {seen[time].label} for time in episode]
    return allowed


def route(label: int, kinds: int) -> list[bool]:
    """Say what a step trains: the experts, then the gate."""
    if label <= 0:
        return [True] * (kinds + 1)
    return [expert == label - 1 for expert in range(kinds)] + [False]


# Advantages


def advantages(
    reward: Sequence[float],
    value: Sequence[float],
    after: Sequence[float],
    done: Sequence[bool],
    *,
    discount: float,
    gae_lambda: float,
) -> list[float]:
    """Sum (discount * lambda)^l delta_{t + l} over the rest of each step's episode.

    Args:
        reward: T.
        value: T, the critic's of each step.
        after: T, that of what follows the step, 0 where nothing does.
        done: T.
        discount: per step.
        gae_lambda: lambda.
    """
    found = []
    for start in range(len(reward)):
        total = 0.0
        for time in range(start, len(reward)):
            delta = reward[time] + discount * after[time] - value[time]
            total += (discount * gae_lambda) ** (time - start) * delta
            if done[time]:
                break
        found.append(total)
    return found


# Evaluation

Path = list[tuple[int, int]]
"""The states and actions of an episode."""
Policy = list[list[float]]
"""Action probabilities, S x A or 2S x A."""


def paths(world: World, policy: Policy, state: int, steps: int) -> Iterator[tuple[float, Path]]:
    """Yield every episode from a state, cut after some steps, with its probability."""
    if steps == 0:
        yield 1.0, []
        return
    for action, probability in enumerate(policy[state]):
        if probability == 0:
            continue
        move = world.moves[state][action]
        if move.ends:
            yield probability, [(state, action)]
            continue
        for others, rest in paths(world, policy, move.next_state, steps - 1):
            yield probability * others, [(state, action), *rest]


def played(world: World, policy: Policy, steps: int) -> list[tuple[float, Path]]:
    """List every episode under a policy S x A, cut after some steps, with its probability."""
    return [
        (share * probability, path)
        for state, share in enumerate(world.start)
        if share > 0
        for probability, path in paths(world, policy, state, steps)
    ]


def summarise(world: World, path: Path) -> dict[str, float]:
    """Say what one episode is worth and what happens in it."""
    found = {"return": 0.0, "paid": 0.0, "score": 0.0, "length": float(len(path)), "none": 1.0}
    for kind in range(1, len(world.worth) + 1):
        found |= {f"share {kind}": 0.0, f"count {kind}": 0.0}
    for age, (state, action) in enumerate(path):
        move = world.moves[state][action]
        found["return"] += world.discount**age * move.true
        found["paid"] += world.discount**age * move.paid
        found["score"] += move.paid
        if move.outcome > 0:
            found["none"] = 0.0
            found[f"share {move.outcome}"] = 1.0
            found[f"count {move.outcome}"] += 1.0
    return found


class Exact(NamedTuple):
    """An expectation over episodes, and how far single ones are from it."""

    mean: float
    deviation: float


def evaluate(world: World, policy: Policy) -> dict[str, Exact]:
    """Add up every episode under a policy 2S x A.

    Under "unseen" and "overseen" stand the returns of episodes of which that is given.
    """
    states = len(world.start)
    total: dict[str, float] = {}
    squares: dict[str, float] = {}
    for overseen, share in enumerate((1 - world.share, world.share)):
        own = policy[overseen * states : (overseen + 1) * states]
        given = 0.0
        for probability, path in played(world, own, world.horizon):
            found = summarise(world, path)
            given += probability * found["return"]
            for name, value in found.items():
                total[name] = total.get(name, 0.0) + share * probability * value
                squares[name] = squares.get(name, 0.0) + share * probability * value**2
        total["overseen" if overseen else "unseen"] = given
    return {
        name: Exact(mean, math.sqrt(max(squares.get(name, 0.0) - mean**2, 0.0)))
        for name, mean in total.items()
    }


def stepwise(world: World, policy: Policy, window: int) -> float:
    """Average the returns to go of all steps of a window that begins with a reset.

    Episodes follow each other in it, and what comes behind its edge does not count.
    """
    states = len(world.start)

    def rest(begun: int) -> float:
        """Sum the returns to go from an episode on that starts after some steps."""
        left = window - begun
        total = 0.0
        for overseen, share in enumerate((1 - world.share, world.share)):
            if share == 0:
                continue
            own = policy[overseen * states : (overseen + 1) * states]
            for probability, path in played(world, own, min(world.horizon, left)):
                found = 0.0
                for age in range(len(path)):
                    found += summarise(world, path[age:])["return"]
                if len(path) < left:
                    found += later[begun + len(path)]
                total += share * probability * found
        return total

    later = {}
    for begun in reversed(range(window)):
        later[begun] = rest(begun)
    return later[0] / window
