"""Metrics -> TensorBoard, metrics.csv and the terminal. The only importer of tensorboard."""

from __future__ import annotations

import csv
import io
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

from routed_rl.utils import ranks
from routed_rl.utils.files import rows_until, write_text
from routed_rl.utils.settings import flatten

Value = Tensor | float


class MetricsFile:
    """A csv file with a row for each logged step; a metric that is new adds a column."""

    def __init__(self, path: Path, *, up_to: int) -> None:
        """Continue the file at `path`, forgetting rows after env step `up_to`."""
        self._path = path
        rows = rows_until(path, up_to)
        self._columns = list(rows[0]) if rows else ["env_steps"]
        self._rewrite(rows)

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            with self._path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._rewrite(rows)
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._path, text.getvalue())


class Logger:
    """Where a run reports to."""

    def __init__(self, folder: Path, *, total: int, start: int = 0) -> None:
        """Write into a folder.

        Args:
            folder: of the run.
            total: environment steps of the run, for the bar.
            start: environment steps that a resumed run has already.
        """
        self._folder = folder
        self._file = MetricsFile(folder / "metrics.csv", up_to=start)
        self._writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)
        self._total = total
        self._start = start
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
        for name, value in values.items():
            self._writer.add_scalar(name, value, env_steps)
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
            rate = (env_steps - self._start) / max(time.monotonic() - self._began, 1e-9)
            seconds = max(self._total - env_steps, 0) / rate if rate else None
            left = "?" if seconds is None else tqdm.format_interval(seconds)
            done = f"{env_steps:>11,} / {self._total:,} steps  {rate:8,.0f} steps/s"
            print(f"{done}  {left} left  {note}", flush=True)

    def picture(self, name: str, image: NDArray[np.uint8], env_steps: int) -> None:
        """Show an image (H, W, 3) in TensorBoard, and keep the latest in the folder as NAME.png."""
        self._writer.add_image(name, image, env_steps, dataformats="HWC")
        Image.fromarray(image).save(self._folder / f"{name}.png")

    def settings(self, plain: Mapping[str, Any]) -> None:
        """Show the run's settings in TensorBoard, as text and as hyperparameters."""
        from torch.utils.tensorboard.summary import hparams

        text = yaml.safe_dump(dict(plain), sort_keys=False)
        self._writer.add_text("config", f"```\n{text}\n```")
        simple = {
            name: value if isinstance(value, bool | str | float | int) else str(value)
            for name, value in flatten(plain).items()
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
