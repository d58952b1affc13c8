"""Metrics -> metrics.csv, the terminal, and wherever curves are looked at."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from routed_rl.training.logs import trackers
from routed_rl.utils import ranks
from routed_rl.utils.files import append_text, csv_line, rows_until, write_rows, write_whole

Value = Tensor | float


class MetricsFile:
    """A csv file with a row for each logged step; a metric that is new adds a column."""

    def __init__(self, path: Path, *, up_to: int) -> None:
        """Continue the file at `path`, forgetting rows after env step `up_to`."""
        self._path = path
        rows = rows_until(path, up_to)
        last = int(rows[-1]["env_steps"]) if rows else 0
        if last < up_to and not ranks.index():
            print(
                f"warning: {path} was cut: it lacks what is behind step {last:,}.", file=sys.stderr
            )
        self._columns = list(rows[0]) if rows else ["env_steps"]
        write_rows(path, self._columns, rows)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            with self._path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            write_rows(self._path, self._columns, rows)
        append_text(self._path, csv_line(row.get(name, "") for name in self._columns))


class Logger:
    """Where a run reports to."""

    def __init__(self, folder: Path, *, total: int, start: int = 0, track: str = "") -> None:
        """Write into a folder.

        Args:
            folder: of the run.
            total: environment steps of the run, for the bar.
            start: environment steps that a resumed run has already.
            track: where to show it beside TensorBoard, if anywhere: "wandb".
        """
        self._folder = folder
        # What has taken no step yet is evaluated anew.
        self._file = MetricsFile(folder / "metrics.csv", up_to=start or -1)
        self._trackers = trackers.of(track, folder, start=start)
        self._total = total
        self.start = start
        self._began = time.monotonic()
        self._interactive = sys.stderr.isatty() and not ranks.index()
        self._bar = tqdm(
            total=total,
            initial=start,
            unit=" steps",
            unit_scale=True,
            disable=not self._interactive,
            dynamic_ncols=True,
        )

    def log(self, env_steps: int, metrics: Mapping[str, Value]) -> dict[str, float]:
        """Record metrics at a number of environment steps; return them as floats."""
        tensors = {name: x.double() for name, x in metrics.items() if isinstance(x, Tensor)}
        # One transfer to the host for all of them.
        moved = torch.stack(list(tensors.values())).tolist() if tensors else []
        values = {name: float(x) for name, x in metrics.items() if not isinstance(x, Tensor)}
        values |= dict(zip(tensors, moved, strict=True))
        for tracker in self._trackers:
            tracker.scalars(values, env_steps)
        written = {name: f"{value:.6g}" for name, value in values.items()}
        self._file.append({"env_steps": env_steps} | written)
        return values

    def progress(self, env_steps: int, note: str | None = None) -> None:
        """Move the bar; a note changes what stands behind it. Without a terminal it is a line."""
        self._bar.update(env_steps - self._bar.n)
        if note is None:
            return
        self._bar.set_postfix_str(note)
        if not self._interactive:
            rate = (env_steps - self.start) / max(time.monotonic() - self._began, 1e-9)
            seconds = max(self._total - env_steps, 0) / rate if rate else None
            left = "?" if seconds is None else tqdm.format_interval(seconds)
            done = f"{env_steps:>11,} / {self._total:,} steps  {rate:8,.0f} steps/s"
            print(f"{done}  {left} left  {note}", flush=True)

    def pictures(
        self, env_steps: int, shown: Mapping[str, NDArray[np.uint8]], *, kept: NDArray[np.uint8]
    ) -> None:
        """Show images (H, W, 3), and keep another in the folder as policies.png."""
        for tracker in self._trackers:
            for name, image in shown.items():
                tracker.picture(name, image, env_steps)
        path = self._folder / "policies.png"
        write_whole(path, lambda file: Image.fromarray(kept).save(file, "PNG")).replace(path)

    def settings(self, plain: Mapping[str, Any], compared: Mapping[str, Any]) -> None:
        """Show all of the run's settings, and those that runs are compared by."""
        for tracker in self._trackers:
            tracker.settings(plain, compared)

    def close(self) -> None:
        """Write out what is pending."""
        self._bar.close()
        for tracker in self._trackers:
            tracker.close()
