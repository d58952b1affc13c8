"""Metrics -> TensorBoard, metrics.csv and the terminal. The only importer of tensorboard."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from routed_rl import config

Value = Tensor | float


class MetricsFile:
    """A csv file with a row for each logged step; a metric seen for the first time adds a column."""

    def __init__(self, path: Path, *, up_to: int) -> None:
        """Continue the file at `path`, forgetting rows after env step `up_to`."""
        self._path = path
        rows = [row for row in self._read() if int(row["env_steps"]) <= up_to] if path.exists() else []
        self._columns = list(rows[0]) if rows else ["env_steps"]
        self._rewrite(rows)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._rewrite(self._read())
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _read(self) -> list[dict[str, str]]:
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        temporary = self._path.with_name(self._path.name + ".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self._path)


class Logger:
    """Where a run reports to."""

    def __init__(self, folder: Path, *, total: int, start: int = 0, quiet: bool = False) -> None:
        """Write into `folder`; `total` and `start` are environment steps, for the bar and for a resumed run."""
        self._folder = folder
        self._file = MetricsFile(folder / "metrics.csv", up_to=start)
        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)
        self._total, self._start, self._began = total, start, time.monotonic()
        self._note = ""
        self._interactive = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._bar = tqdm(
            total=total,
            initial=start,
            unit=" steps",
            unit_scale=True,
            disable=not self._interactive,
            dynamic_ncols=True,
        )

    def log(self, env_steps: int, metrics: Mapping[str, Value]) -> dict[str, float]:
        """Record metrics at a number of environment steps, with one transfer to the host; return them as floats."""
        tensors = {name: value.double() for name, value in metrics.items() if isinstance(value, Tensor)}
        moved = torch.stack(list(tensors.values())).tolist() if tensors else []
        values = {name: float(value) for name, value in metrics.items() if not isinstance(value, Tensor)}
        values |= dict(zip(tensors, moved, strict=True))
        for name, value in values.items():
            self._writer.add_scalar(name, value, env_steps)
        self._file.append({"env_steps": env_steps} | {name: f"{value:.6g}" for name, value in values.items()})
        return values

    def progress(self, env_steps: int, note: str | None = None) -> None:
        """Move the bar; a note changes what stands behind it. Without a terminal each note is a line."""
        self._bar.update(env_steps - self._bar.n)
        if note is None:
            return
        self._bar.set_postfix_str(note)
        if not self._interactive and not self._quiet:
            rate = (env_steps - self._start) / max(time.monotonic() - self._began, 1e-9)
            left = tqdm.format_interval(max(self._total - env_steps, 0) / rate) if rate else "?"
            print(f"{env_steps:>11,} / {self._total:,} steps  {rate:8,.0f} steps/s  {left} left  {note}", flush=True)

    def picture(self, name: str, image: NDArray[np.uint8], env_steps: int) -> None:
        """Show an image (H, W, 3) in TensorBoard, and keep the latest in the folder as NAME.png."""
        self._writer.add_image(name, image, env_steps, dataformats="HWC")
        Image.fromarray(image).save(self._folder / f"{name}.png")

    def settings(self, plain: Mapping[str, Any]) -> None:
        """Show the run's settings in TensorBoard, as text and as hyperparameters of its last metrics."""
        from torch.utils.tensorboard.summary import hparams

        self._writer.add_text("config", f"```\n{yaml.safe_dump(dict(plain), sort_keys=False)}\n```")
        simple = {
            name: value if isinstance(value, bool | str | float | int) else str(value)
            for name, value in config.flatten(plain).items()
        }
        for summary in hparams(simple, {}):
            assert self._writer.file_writer is not None
            self._writer.file_writer.add_summary(summary)

    def layout(self, layout: dict[str, dict[str, list[Any]]]) -> None:
        """Arrange custom scalar charts in TensorBoard."""
        self._writer.add_custom_scalars(layout)

    def close(self) -> None:
        """Write out what is pending."""
        self._bar.close()
        self._writer.close()
