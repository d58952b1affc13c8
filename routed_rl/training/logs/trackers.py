"""Where a run's curves and pictures are looked at: TensorBoard, and Weights & Biases if wished.

The only importer of either.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
import shlex
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard import SummaryWriter

from routed_rl.utils.errors import UserError, one_line
from routed_rl.utils.files import write_text

METRICS = {
    "eval/deployed/return": "return",
    "eval/deployed/unwatched": "unwatched return",
    "routing/labelled_episodes": "labelled episodes",
}
"""Tags of the curves that runs are compared by -> what the table of hyperparameters calls them."""
CHARTS = {
    "return": "eval/deployed/return",
    "return, unwatched": "eval/deployed/unwatched",
    "paid return": "eval_details/deployed/paid_return",
    "bad outcomes per episode": "eval_details/deployed/bad_per_episode",
}
"""Titles of the charts that one looks at first -> their tags."""
FIRST = ("agent", "env", "oversight", "seed")
"""Hyperparameters that every run has, in the order of the table's columns."""
ID_FILE = "wandb_id.txt"
"""Holds the name by which Weights & Biases knows the run, to go on with it."""

# What protobuf makes at run time no type checker can see.
_api: Any = api_pb2
_plugin_data: Any = plugin_data_pb2
_summary: Any = summary_pb2


_usual_hook = threading.excepthook


def _hook(args: threading.ExceptHookArgs) -> None:
    """Print no traceback where TensorBoard's thread cannot write: its next call raises it."""
    of_tensorboard = type(args.thread).__module__.startswith("tensorboard.")
    if not (of_tensorboard and isinstance(args.exc_value, OSError)):
        _usual_hook(args)


threading.excepthook = _hook


class Tracker(Protocol):
    """A place to look at a run."""

    def settings(self, plain: Mapping[str, Any], compared: Mapping[str, Any]) -> None:
        """Show all settings, and those that runs are compared by."""

    def scalars(self, values: Mapping[str, float], env_steps: int) -> None:
        """Add a point to each of these curves."""

    def picture(self, name: str, image: NDArray[np.uint8], env_steps: int) -> None:
        """Show an image (H, W, 3)."""

    def close(self) -> None:
        """Write out what is pending."""


class TensorBoard:
    """Events in the run's folder."""

    def __init__(self, folder: Path, *, start: int) -> None:
        """Write into a folder; points behind env step `start` are forgotten, all if it is 0."""
        written = len(list(folder.glob("events.*")))
        self._writer = SummaryWriter(
            str(folder),
            purge_step=start + 1 if start else 0,
            # Where a clock went back, a file could else have the name of an earlier one.
            filename_suffix=f".{written}" if written else "",
        )

    def settings(self, plain: Mapping[str, Any], compared: Mapping[str, Any]) -> None:
        """Show the settings as text and as hyperparameters, and arrange the custom charts."""
        text = yaml.safe_dump(dict(plain), sort_keys=False)
        self._writer.add_text("config", f"```\n{text}\n```")
        charts = {title: ["Multiline", [f"^{tag}$"]] for title, tag in CHARTS.items()}
        self._writer.add_custom_scalars({"the policy to deploy": charts})
        self._add_hparams(compared)

    def scalars(self, values: Mapping[str, float], env_steps: int) -> None:
        """Add a point to each of these curves."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, env_steps)

    def picture(self, name: str, image: NDArray[np.uint8], env_steps: int) -> None:
        """Show an image (H, W, 3)."""
        self._writer.add_image(name, image, env_steps, dataformats="HWC")

    def close(self) -> None:
        """Write out what is pending."""
        self._writer.close()

    def _add_hparams(self, compared: Mapping[str, Any]) -> None:
        """Fill the row of this run, and say which columns the table has.

        torch's `add_hparams` names no metric without adding a point to it, and orders columns by
        the alphabet. TensorBoard takes the columns from one of the runs: what all have comes first.
        """
        start = _plugin_data.SessionStartInfo()
        experiment = _api.Experiment()
        for name, value in compared.items():
            # It sorts by whether they differ, then by name.
            column = experiment.hparam_infos.add(name=name, differs=name in FIRST)
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
                column.type = _api.DATA_TYPE_BOOL
            elif isinstance(value, int | float):
                start.hparams[name].number_value = value
                column.type = _api.DATA_TYPE_FLOAT64
            else:
                start.hparams[name].string_value = str(value)
                column.type = _api.DATA_TYPE_STRING
        for tag, title in METRICS.items():
            experiment.metric_infos.add(name=_api.MetricName(tag=tag), display_name=title)
        data = _plugin_data.HParamsPluginData
        assert self._writer.file_writer is not None
        for tag, content in (
            (metadata.EXPERIMENT_TAG, data(experiment=experiment)),
            (metadata.SESSION_START_INFO_TAG, data(session_start_info=start)),
        ):
            summary = _summary.Summary()
            summary.value.add(
                tag=tag,
                metadata=metadata.create_summary_metadata(content),
                tensor=metadata.NULL_TENSOR,
            )
            self._writer.file_writer.add_summary(summary)


class WandB:
    """A run of Weights & Biases; a run that is gone on with is the same run there."""

    def __init__(self, folder: Path) -> None:
        """Begin, or go on where the folder says under which name.

        Raises:
            UserError: if wandb is not installed, or nobody is logged in.
        """
        check(WANDB)
        wandb: Any = importlib.import_module(WANDB)

        path = folder / ID_FILE
        if not path.exists():
            write_text(path, secrets.token_hex(4))
        self._image = wandb.Image
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "routed_rl"),
                id=path.read_text(),
                name=folder.name,
                dir=folder,
                resume="allow",
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"wandb cannot begin ({one_line(error)}). Set WANDB_MODE=offline, or run wandb "
                f"login; then go on with --resume {shlex.quote(str(folder))}."
            ) from None
        # wandb's own count of steps only grows, and a run may go on from an earlier checkpoint.
        self._run.define_metric("*", step_metric="env_steps")

    def settings(self, plain: Mapping[str, Any], compared: Mapping[str, Any]) -> None:
        """Show all settings."""
        self._run.config.update(dict(plain), allow_val_change=True)

    def scalars(self, values: Mapping[str, float], env_steps: int) -> None:
        """Add a point to each of these curves."""
        self._run.log({**values, "env_steps": env_steps})

    def picture(self, name: str, image: NDArray[np.uint8], env_steps: int) -> None:
        """Show an image (H, W, 3)."""
        self._run.log({name: self._image(image), "env_steps": env_steps})

    def close(self) -> None:
        """Send what is pending."""
        self._run.finish()


WANDB = "wandb"
"""What --track calls it."""


def check(track: str) -> None:
    """Raise UserError if what shall be tracked with is not installed."""
    if track == WANDB and importlib.util.find_spec(WANDB) is None:
        raise UserError(
            "track is wandb, which is not installed: pip install 'routed-rl[wandb]', "
            "or leave it out."
        )


def of(track: str, folder: Path, *, start: int) -> list[Tracker]:
    """Return where a run is to be looked at.

    Args:
        track: the setting of that name.
        folder: of the run.
        start: environment steps that a resumed run has already.
    """
    board = TensorBoard(folder, start=start)
    return [board, WandB(folder)] if track == WANDB else [board]
