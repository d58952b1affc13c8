"""What every example does with its seeds: a process for each core, and the time left."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm


def flags(doc: str | None, out: str) -> argparse.ArgumentParser:
    """Make the flags that every example has.

    Args:
        doc: what --help says.
        out: the name of the picture.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = os.cpu_count() or 1
    parser.add_argument("--seeds", type=_count, default=5)
    parser.add_argument("--full", action="store_true", help="the paper's size, for large machines")
    parser.add_argument("--jobs", type=_count, default=cores, help="processes at a time")
    parser.add_argument("--out", type=Path, default=Path("runs") / out, help="the picture's file")
    return parser


def _count(text: str) -> int:
    """Read a number that is at least 1."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1: give one, such as 5")
    return int(text)


def run(job: Callable[..., Any], settings: Sequence[tuple[Any, ...]], jobs: int) -> list[Any]:
    """Call `job(*setting)` for every setting, on one core each, and return what comes of them.

    Progress and the time left are shown on stderr.

    Args:
        job: the function; it can be imported by its name.
        settings: its arguments.
        jobs: how many at a time.
    """
    with get_context("spawn").Pool(min(jobs, len(settings)), torch.set_num_threads, (1,)) as pool:
        waiting = [pool.apply_async(job, setting) for setting in settings]
        return [result.get() for result in tqdm(waiting, unit="run", smoothing=0)]
