"""The dial: the weight of the unwanted experts, and a choice of it by labels alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from doors import DIAMOND, GHOST, IDLE, SKULL, Doors, mixture

from routed_rl.evaluation.dial import Dial, DialPoint, least_episodes, select, turn, upper_bound
from routed_rl.evaluation.evaluator import Evaluator
from routed_rl.evaluation.report import Report
from routed_rl.models.policy import Policy
from routed_rl.worlds.oversight import Oversight
from routed_rl.worlds.process import ProcessConfig, with_process
from routed_rl.worlds.vec_env import VecEnv

RECALL = 0.5


def doors(never: tuple[str, ...] = (), **oversight: float) -> Evaluator:
    """Make what evaluates where half of the outcomes are seen, but for those of which none is."""
    overseer = Oversight(**{"probability": RECALL} | oversight)

    def make_env(num_envs: int, *, oversight: float | None = None) -> VecEnv:
        return with_process(Doors(num_envs, overseer), ProcessConfig(never=never), seed=0)

    return Evaluator(make_env, seed=0)


def timid() -> Policy:
    """Make a mixture that is best at 0: below it the diamond is left too, above it skulls are met.

    At weight w its logits are 2 of the diamond, 4 w of the skull, and 2 (1 - w) of nothing; that of
    the ghost is 1 - w.
    """
    unwanted = [2.0, 0.0, 4.0, 0.0]
    return mixture({"diamond": [2.0, 1.0, 0.0, 2.0], "ghost": unwanted, "skull": unwanted})


def probabilities(weight: float) -> list[float]:
    """Tell by hand what that mixture does at a weight."""
    logits = {DIAMOND: 2.0, GHOST: 1 - weight, SKULL: 4 * weight, IDLE: 2 * (1 - weight)}
    odds = [math.exp(logits[door]) for door in range(4)]
    return [x / sum(odds) for x in odds]


def point(weight: float, upper: float, value: float = 0.0) -> DialPoint:
    report = Report(true_return=value, exact=True, outcomes={}, mean_length=1.0)
    return DialPoint(weight, {}, report, upper / 2, upper, 100)


def test_a_point_says_what_the_policy_of_its_weight_does() -> None:
    weights = (0.5, -1.0, 0.0, 0.5)
    points = turn({"mixture": timid()}, "mixture", doors(), weights=weights, episodes=20_000)
    assert [p.weight for p in points] == [-1.0, 0.0, 0.5]
    assert points[0].steer == {"diamond": 2.0, "ghost": -0.5, "skull": -0.5}
    for p in points:
        diamond, ghost, skull, _ = probabilities(p.weight)
        assert p.report.exact
        assert p.report.outcomes_per_episode == pytest.approx(
            {"diamond": diamond, "ghost": ghost, "skull": skull}, abs=1e-6
        )
        assert p.report.true_return == pytest.approx(diamond - ghost - skull, abs=1e-6)
        flags = RECALL * (ghost + skull)
        error = math.sqrt(flags * (1 - flags) / 20_000)
        assert p.flagged == pytest.approx(flags, abs=4 * error)
        assert p.flagged < p.flagged_upper < p.flagged + 3 * error + 3 / 20_000
        assert p.episodes == 20_480, "512 environments have 40 each"


def test_one_network_has_one_point_and_it_is_the_deployed_policy() -> None:
    policy = mixture({"policy": [0.0, 9.0, 0.0, 0.0]})
    (only,) = turn({"policy": policy}, "policy", doors(), episodes=512)
    assert (only.weight, only.steer) == (0.0, {"policy": 1.0})
    assert only.report.outcomes["ghost"] > 0.99


def test_labels_find_the_best_weight_where_all_that_is_bad_can_be_seen() -> None:
    points = turn({"": timid()}, "", doors(), episodes=10_000)
    tolerated = 0.25
    dial = Dial(points, RECALL * tolerated)
    assert dial.chosen is not None
    assert dial.best_by_truth.weight in (-0.1, 0.0)
    assert abs(dial.chosen.weight - dial.best_by_truth.weight) <= 0.1 + 1e-9
    assert (dial.chosen.report.bad_per_episode or 0.0) <= tolerated
    plain = dial.to_json()
    assert plain["chosen"] == dial.chosen.weight
    assert plain["best_by_truth"] == dial.best_by_truth.weight
    assert plain["points"][0]["return"] == points[0].report.true_return


def test_labels_choose_badly_where_what_is_never_flagged_takes_the_place_of_what_is() -> None:
    """Ghosts become fewer with the weight and skulls more; of skulls nobody ever hears."""
    bound = RECALL * 0.25
    blind = Dial(turn({"": timid()}, "", doors(("skull",)), episodes=10_000), bound)
    assert blind.chosen is not None
    assert blind.chosen.weight == 1.0, "the more of the unwanted experts, the fewer the flags"
    assert blind.chosen.flagged < 0.02
    assert (blind.chosen.report.bad_per_episode or 0.0) > 0.8
    assert blind.best_by_truth.report.true_return - blind.chosen.report.true_return > 0.8


def test_the_first_weight_that_fails_ends_the_choice() -> None:
    points = [point(-1, 0.01), point(0, 0.05), point(0.5, 0.06), point(1, 0.0)]
    assert select(points, 0.05) is points[1], "a bound may be met exactly"
    assert select(points, 0.06) is points[3]
    assert select(points, 0.04) is points[0]
    assert select(points, 0.009) is None
    assert select([], 0.1) is None


def test_the_bound_is_kept_by_what_flags_may_be_and_not_by_their_mean() -> None:
    uncertain = point(0, 0.06)
    assert uncertain.flagged == 0.03
    assert select([uncertain], 0.05) is None


def test_upper_bounds_are_those_of_poissons_tables() -> None:
    none = torch.zeros(100, dtype=torch.int64)
    assert upper_bound(none) == pytest.approx(2.9957 / 100, abs=1e-6)
    five = none.clone()
    five[:5] = 1
    assert upper_bound(five) == pytest.approx(10.5130 / 100, abs=1e-6)
    assert upper_bound(five, 0.975) == pytest.approx(11.6683 / 100, abs=1e-6)
    assert least_episodes(0.01) == pytest.approx(299.57, abs=0.01)


def test_outcomes_that_come_together_say_less() -> None:
    """Four flags in each of 25 of 100 episodes: mean 1, variance 3."""
    together = torch.zeros(100, dtype=torch.int64)
    together[:25] = 4
    apart = torch.ones(100, dtype=torch.int64)
    assert upper_bound(apart) == pytest.approx(118.08 / 100, abs=1e-3)
    # As of 100 / 3 flags, each worth three: 3 * 89.011 / 2, the chi-squared of 68 2/3 degrees.
    assert upper_bound(together) == pytest.approx(133.516 / 100, abs=1e-4)


def coverage(draw: Callable[[torch.Generator], torch.Tensor], rate: float) -> float:
    generator = torch.Generator().manual_seed(0)
    return sum(upper_bound(draw(generator)) >= rate for _ in range(1000)) / 1000


def test_a_bound_is_broken_in_one_case_of_twenty_at_most() -> None:
    def ends(generator: torch.Generator) -> torch.Tensor:
        return (torch.rand(2000, generator=generator) < 0.01).long()

    def bursts(generator: torch.Generator) -> torch.Tensor:
        return 4 * (torch.rand(2000, generator=generator) < 0.02).long()

    assert coverage(ends, 0.01) > 0.94
    assert coverage(bursts, 0.08) > 0.92
