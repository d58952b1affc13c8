"""A sweep's runs are done on machines that see its folder, and on those that do not."""

from __future__ import annotations

import json
import shutil
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import TINY

from routed_rl.sweeps import launchers, transfer
from routed_rl.sweeps.launchers import RayOptions
from routed_rl.sweeps.sweep import Task


def task(folder: Path, steps: int = 256) -> Task:
    flags = (*TINY, "--agent", "naive", "--evaluations", "1", "--steps", str(steps))
    return Task(folder, flags, {"steps": steps})


def test_a_machine_that_sees_the_folder_writes_there(tmp_path: Path) -> None:
    run = task(tmp_path / "out" / "one")
    with transfer.shown_in({run.folder.parent}) as sign:
        assert transfer.execute(run, None, sign) == (None, None)
    assert run.finished
    assert [path.name for path in run.folder.parent.iterdir()] == ["one"]  # and no sign is left


def test_from_a_machine_that_does_not_the_files_come_back(tmp_path: Path) -> None:
    run = task(tmp_path / "out" / "one")
    error, files = transfer.execute(run, transfer.pack(run), "not to be seen")
    assert error is None
    assert not run.folder.exists()
    transfer.unpack(files, run.folder)
    assert run.finished
    # It goes on elsewhere, from the files that are sent along.
    longer = task(run.folder, steps=512)
    sent = transfer.pack(longer)
    shutil.rmtree(run.folder)
    error, files = transfer.execute(longer, sent, "not to be seen")
    assert error is None
    transfer.unpack(files, longer.folder)
    assert longer.finished
    rows = (longer.folder / "metrics.csv").read_text().splitlines()
    assert [int(row.split(",")[0]) for row in rows[1:]] == [0, 128, 256, 384, 512]


def test_what_went_wrong_is_told_and_nothing_comes_back(tmp_path: Path) -> None:
    run = Task(tmp_path / "out" / "one", ("--env.rows", "0"), {"steps": 1})
    error, files = transfer.execute(run, None, "not to be seen")
    assert error is not None and "rows 0" in error
    assert files is None


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore")
def test_a_lost_node_loses_no_run(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    tasks = [task(tmp_path / "out" / f"run-{k}", steps=128 * (1 + k % 4)) for k in range(40)]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)

    def lose() -> None:
        while sum(one.finished for one in tasks) < 8:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    try:
        failed = launchers.run(tasks, launcher="ray", jobs=1, on_ray=RayOptions(cluster.address))
    finally:
        losing.join()
        cluster.shutdown()
    assert failed == {}
    assert all(one.finished for one in tasks)
    for kind in range(4):
        local = task(tmp_path / "local" / f"run-{kind}", steps=tasks[kind].steps)
        assert local.execute() is None
        for there in tasks[kind::4]:
            assert policies(there) == policies(local)


def policies(run: Task) -> dict[str, Any]:
    return json.loads((run.folder / "result.json").read_text())["policies"]


def test_a_run_that_a_lost_node_had_ended_is_not_told_to_go_on(tmp_path: Path) -> None:
    run = task(tmp_path / "out" / "one", steps=128)
    with transfer.shown_in({run.folder.parent}) as sign:
        assert transfer.execute(run, None, sign) == (None, None)
        before = policies(run)
        assert transfer.execute(run, transfer.pack(run), sign) == (None, None), "tried once more"
    assert policies(run) == before


def test_files_that_arrive_cut_short_change_nothing(tmp_path: Path) -> None:
    there, here = task(tmp_path / "there", steps=128), task(tmp_path / "here", steps=128)
    assert there.execute() is None
    files = transfer.pack(there)
    assert files is not None
    transfer.unpack(files, here.folder)
    assert here.finished
    before = {path: path.read_bytes() for path in here.folder.rglob("*") if path.is_file()}
    with pytest.raises(tarfile.ReadError):
        transfer.unpack(files[: len(files) // 2], here.folder)
    assert {path: path.read_bytes() for path in here.folder.rglob("*") if path.is_file()} == before


def test_what_a_run_goes_on_from_arrives_behind_its_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = task(tmp_path / "there", steps=128)
    assert there.execute() is None
    placed: list[str] = []
    replace = Path.replace

    def note(self: Path, target: Path) -> Path:
        placed.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", note)
    transfer.unpack(transfer.pack(there), tmp_path / "here")
    assert placed[-2:] == ["last.pt", "result.json"]
    assert {"metrics.csv", "config.yaml", "previous.pt"} <= set(placed)
