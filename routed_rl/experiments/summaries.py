"""What runs that differ by their seed alone have in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from routed_rl.evaluation.report import Report
from routed_rl.experiments.results import Result

MEASURES: Mapping[str, Callable[[Report], float | None]] = {
    "return": attrgetter("true_return"),
    "paid_return": attrgetter("paid_return"),
    "unwatched": attrgetter("unwatched"),
    "bad_per_episode": attrgetter("bad_per_episode"),
}
"""What tables and figures show: a measure's name in result.json -> where a report has it."""
INTERVAL = "mean and 95% bootstrap interval"
LOWER_IS_BETTER = ("bad_per_episode",)


class Summary(NamedTuple):
    """A value of each seed, summarised."""

    mean: float
    low: float
    high: float
    iqm: float
    n: int

    def text(self, form: str, *, bold: bool = False) -> str:
        """Write mean (low to high); the mean alone if it is of one seed."""
        mean = f"{self.mean:{form}}"
        if bold:
            mean = f"**{mean}**"
        if self.n == 1:
            return mean
        return f"{mean} ({self.low:{form}} to {self.high:{form}})"


ByOversight = dict[str, dict[float, Summary]]
"""Method -> oversight -> over seeds."""


def summarise(values: Sequence[float]) -> Summary:
    """Summarise one value a seed.

    Returns:
        Mean, 95% bootstrap interval of the mean, and interquartile mean (Agarwal et al., "Deep
        reinforcement learning at the edge of the statistical precipice", 2021).
    """
    array = np.asarray(values)  # (seeds,)
    mean = float(array.mean())
    # Equal values have no spread to draw from: scipy would give NaN and a warning.
    if len(array) == 1 or array.std() == 0:
        return Summary(mean, mean, mean, mean, len(array))

    from scipy import stats  # half a second, which a single run's page need not wait for

    # From one generator state for all, so that a table comes out the same twice.
    interval = stats.bootstrap(
        (array,), np.mean, n_resamples=2000, method="percentile", rng=0
    ).confidence_interval
    iqm = float(stats.trim_mean(array, 0.25))  # a quarter is cut at either end
    return Summary(mean, float(interval.low), float(interval.high), iqm, len(array))


def over_seeds(what: str, counts: Iterable[int], one: str = "seed") -> str:
    """Say what is shown over the seeds, of which there may be one here and several there.

    Args:
        what: is shown of several.
        counts: how many there are, wherever there are some.
        one: what is counted.
    """
    seeds = sorted(set(counts))
    if seeds == [1]:
        return f"one {one}"
    if len(seeds) == 1:
        return f"{what}, {seeds[0]} {one}s"
    few = f"; none for one {one}" if seeds[0] == 1 else ""
    return f"{what}, {seeds[0]} to {seeds[-1]} {one}s{few}"


def tabulate(results: Sequence[Result], measure: str, checkpoint: str) -> ByOversight:
    """Summarise a measure of one choice of checkpoint: method -> oversight -> over seeds."""
    return _summarise_cells(_values(results, measure, checkpoint))


def each_seed(results: Sequence[Result], measure: str, checkpoint: str) -> dict[str, list[float]]:
    """List a measure of one choice of checkpoint: method -> a value for each run."""
    found: dict[str, list[float]] = defaultdict(list)
    for result, value in _values(results, measure, checkpoint):
        found[result.method].append(value)
    return found


def differences(
    results: Sequence[Result], measure: str, checkpoint: str, against: str
) -> ByOversight:
    """Summarise how far each method is above one of them, over the seeds that both have."""
    found = _values(results, measure, checkpoint)
    base = {(run.oversight, run.seed): value for run, value in found if run.method == against}
    # Paired: what a seed makes easy for both methods does not widen the interval.
    pairs = [
        (run, value - base[run.oversight, run.seed])
        for run, value in found
        if run.method != against and (run.oversight, run.seed) in base
    ]
    return _summarise_cells(pairs)


def by_world(
    results: Sequence[Result], measure: str, checkpoint: str, oversight: float
) -> dict[str, dict[str, Summary]]:
    """Summarise a measure at one level of oversight: world -> method -> over seeds."""
    worlds: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.oversight == oversight:
            worlds[result.world].append(result)
    table: dict[str, dict[str, Summary]] = {}
    for world, runs in sorted(worlds.items()):
        rows = tabulate(runs, measure, checkpoint)
        table[world] = {method: row[oversight] for method, row in rows.items()}
    return table


def _values(results: Sequence[Result], measure: str, checkpoint: str) -> list[tuple[Result, float]]:
    """List a measure of the runs that have the checkpoint and looked for the measure."""
    found: list[tuple[Result, float]] = []
    for result in results:
        if checkpoint in result.reports:
            value = MEASURES[measure](result.reports[checkpoint])
            if value is not None:
                found.append((result, value))
    return found


def _summarise_cells(values: Iterable[tuple[Result, float]]) -> ByOversight:
    """Summarise a value of each run, runs of one method and one oversight together."""
    cells: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result, value in values:
        cells[result.method][result.oversight].append(value)
    return {
        method: {level: summarise(row[level]) for level in sorted(row)}
        for method, row in sorted(cells.items())
    }
