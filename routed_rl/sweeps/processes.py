"""Run this package's commands in processes that begin with torch imported.

A short run trains for a few seconds, and to import what it needs takes almost as long. So each is
forked from a server (multiprocessing's), which imports everything once. It is a process of its own
all the same: what kills it kills nothing else. If the process that waits for it is killed, it saves
and stops.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

_PRELOADED = ["routed_rl.cli.train", "routed_rl.cli.summary", "routed_rl.training.run"]
_lock = threading.Lock()


def run(args: Sequence[str]) -> tuple[int, str]:
    """Do what `python -m routed_rl ARGS` does, with one thread.

    Returns:
        The exit code, minus a signal's number if that ended it; and all that it wrote, errors last.
    """
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        written = [Path(folder, name) for name in ("output", "errors")]
        process = context.Process(target=_run, args=(list(args), *map(str, written)))
        # To start one, multiprocessing looks at all others, and reads what `join` waits for.
        with _lock:
            process.start()
        connection.wait([process.sentinel])
        with _lock:
            process.join()
            code = process.exitcode
            process.close()
        said = "".join(path.read_text(errors="replace") for path in written if path.exists())
    assert code is not None
    return code, said


def _run(args: Sequence[str], output: str, errors: str) -> None:
    """Be `python -m routed_rl ARGS`."""
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    import numpy as np
    import torch

    torch.set_num_threads(1)  # it was imported before the variables were set
    np.random.seed()  # the server's generator is that of all
    sys.argv = ["routed_rl", *args]
    runpy.run_module("routed_rl", run_name="__main__", alter_sys=True)


def _stop_with_parent() -> None:
    """Ask this process to save and stop, when nobody waits for it any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
