"""Tables and a picture of what examples/quarantine.py has run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from routed_rl.experiments.summaries import summarise

KINDS = {"solved": "solved", "seen": "flagged cheat", "unseen": "unseen cheat"}
COLOURS = {"solved": "#0072b2", "seen": "#d55e00", "unseen": "#cc79a7"}
DIALLED = {
    "routed, rest to the retain": "-",
    "routed": "--",
    "routed, no routes": ":",
}
Dial = Mapping[str, Mapping[str, float]]
"""Scale -> what is written."""


def read(folder: Path) -> dict[str, dict[int, Dial]]:
    """Return arm -> seed -> what it writes along the dial."""
    found: dict[str, dict[int, Dial]] = {}
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        found.setdefault(run["arm"], {})[run["seed"]] = run["dial"]
    return found


def deployed(dial: Dial) -> Mapping[str, float]:
    """Return what is deployed: without the quarantine, where there is one."""
    return dial["0.0"] if "0.0" in dial else dial["1.0"]


def worth(shares: Mapping[str, float]) -> float:
    """Return solved less cheats, the mean over prompts of both kinds."""
    return (shares["solved"] - shares["seen"] - shares["unseen"] + shares["clean"]) / 2


def table(runs: Mapping[str, Mapping[int, Dial]], against: str) -> str:
    """Write a markdown table, the best arm first; differences are paired by seed."""
    titles = ["arm", "worth", "solved", "flagged cheat", "unseen cheat", "behind `.`", "before"]
    lines = [f"| {' | '.join([*titles, 'paired'])} |", "|---" * 8 + "|"]
    values = {arm: {s: worth(deployed(d)) for s, d in own.items()} for arm, own in runs.items()}
    base = values.get(against, {})
    for arm in sorted(runs, key=lambda arm: -np.mean(list(values[arm].values()))):
        own = runs[arm]
        cells = [arm, summarise(list(values[arm].values())).text(".2f")]
        for kind in (*KINDS, "clean"):
            cells.append(f"{np.mean([deployed(d)[kind] for d in own.values()]):.2f}")
        has_dial = any("0.0" in d for d in own.values())
        before = [worth(d["1.0"]) for d in own.values()]
        cells.append(f"{np.mean(before):.2f}" if has_dial else "")
        both = [seed for seed in own if seed in base]
        pairs = [values[arm][seed] - base[seed] for seed in both]
        cells.append(summarise(pairs).text("+.2f") if pairs and arm != against else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(runs: Mapping[str, Mapping[int, Dial]], path: Path) -> None:
    """Draw what each arm deploys, and what the dial does."""
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    bars, dials = figure.subplots(1, 2, width_ratios=(1.25, 1))
    arms = sorted(runs, key=lambda a: np.mean([worth(deployed(d)) for d in runs[a].values()]))
    for row, kind in enumerate(KINDS):
        places = np.arange(len(arms)) + 0.27 * (1 - row)
        found = [summarise([deployed(d)[kind] for d in runs[arm].values()]) for arm in arms]
        means = np.array([summary.mean for summary in found])
        reach = [means - [s.low for s in found], [s.high for s in found] - means]
        bars.barh(places, means, 0.25, color=COLOURS[kind], label=KINDS[kind])
        bars.errorbar(means, places, xerr=reach, fmt="none", ecolor="0.3", lw=0.8)
    bars.set_yticks(np.arange(len(arms)), arms)
    bars.set_xlabel('share of completions behind "#", deployed')
    bars.set_title("What each arm deploys", loc="left")
    figure.legend(
        *bars.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    for arm, style in DIALLED.items():
        for kind in KINDS:
            scales = sorted({float(s) for d in runs.get(arm, {}).values() for s in d})
            if scales:
                shares = [np.mean([d[str(s)][kind] for d in runs[arm].values()]) for s in scales]
                dials.plot(scales, shares, style, color=COLOURS[kind])
        dials.plot([], [], style, color="0.3", label=arm)
    dials.set_xlabel("weight of the quarantine (1 as trained, 0 ablated)")
    dials.set_title("The dial", loc="left")
    dials.legend(loc="upper center", frameon=False)
    dials.set_ylim(0, 1.05)
    for axes in (bars, dials):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
