"""What a long run takes: a process looked at from outside, and its table by hand."""

from __future__ import annotations

import os
from pathlib import Path

import soak


def test_a_process_is_looked_at_from_outside(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"env_steps,a\n32,1\n64,2\n96")  # the last row is cut
    seen = soak.look(os.getpid(), tmp_path, 128)
    assert seen.done == 0.5
    assert seen.logs == (tmp_path / "metrics.csv").stat().st_size / 1e6
    with (tmp_path / "other").open("w"):
        assert soak.look(os.getpid(), tmp_path, 128).files == seen.files + 1
    block = bytearray(os.urandom(1)) * (64 << 20)
    assert soak.look(os.getpid(), tmp_path, 128).memory > seen.memory + 50
    del block


def test_the_table_has_the_least_and_the_most_of_each_part() -> None:
    looks = [
        soak.Look(done=0.0, memory=99.0, files=9, threads=9, logs=0.0),  # before an evaluation
        soak.Look(done=0.005, memory=10.0, files=3, threads=1, logs=0.1),
        soak.Look(done=0.08, memory=12.0, files=5, threads=2, logs=0.2),
        soak.Look(done=0.09, memory=11.0, files=4, threads=3, logs=0.3),
        soak.Look(done=1.0, memory=11.5, files=4, threads=1, logs=0.9),
    ]
    assert soak.table(looks, 1000)[2:] == [
        "| 1% | 10.0 | 10.0 | 3 | 1 | 0.1 |",
        "| 10% | 11.0 | 12.0 | 5 | 3 | 0.3 |",
        "| 100% | 11.5 | 11.5 | 4 | 1 | 0.9 |",
    ]
