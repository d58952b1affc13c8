"""Some inputs of each kind, as `make fuzz` tries many; and what would be a fault is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

FUZZ = ROOT / "tests" / "fuzz"


@pytest.mark.slow
def test_some_inputs_of_each_kind_are_success_or_one_line() -> None:
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
    command = [sys.executable, str(FUZZ / "fuzz.py"), "--inputs", "1000", "--seed", "7"]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *targets, total = done.stdout.splitlines()
    assert total.split()[0] == "all"
    assert len(targets) == 12
    for line in (*targets, total):
        name, tried, _, *_, faults, _ = line.split()
        assert int(tried.replace(",", "")) > 0, name
        assert faults == "0", name


CASES = {
    "pass": "",
    "open('inside/x', 'w')": "",
    "open(os.devnull, 'w')": "",
    "open('outside', 'w')": "wrote 'outside'",
    "open('outside', 'a')": "wrote 'outside'",
    "os.mkdir('inside/../outside')": "os.mkdir 'inside/../outside'",
    "os.rename('inside/here', 'outside')": "os.rename 'outside'",
    "os.remove('there')": "os.remove 'there'",
    "os.system('true')": "os.system",
    "subprocess.run(['true'])": "subprocess.Popen",
    "pickle.loads(pickle.dumps(os.mkdir))": "pickle.find_class",
    "exec(compile('1', '<of a file>', 'exec'))": "ran code of <of a file>",
    "time.sleep(5)": "took over 0.2 seconds",
    "kept.append(bytes(2**20))": "held",
}
"""What a command might do -> the rule that it breaks."""
PROGRAM = """
import json, os, pickle, subprocess, sys, time
from pathlib import Path
import guard
from tally import describe

guard.SECONDS = 0.2
kept = []


def broken_by(code):
    if "kept" in code:
        guard.MOST_MEMORY = 1
    try:
        with guard.watching(Path("inside")):
            try:
                exec(compile(code, guard.__file__, "exec"))
            except guard.Broken as broken:
                if "seconds" in str(broken):
                    raise
    except guard.Broken as broken:
        return describe(broken)
    return ""


for number, code in enumerate(json.load(sys.stdin)):
    if os.fork() == 0:  # a hook can't be removed
        os.chdir(str(number))
        Path("said").write_text(broken_by(code))
        os._exit(0)
    assert os.wait()[1] == 0, code
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all cases, each in a folder and a process of its own."""
    root = tmp_path_factory.mktemp("cases")
    for number in range(len(CASES)):
        (root / str(number) / "inside").mkdir(parents=True)
        (root / str(number) / "inside" / "here").touch()
        (root / str(number) / "there").touch()
    paths = os.pathsep.join(map(str, (FUZZ, ROOT / "tests" / "support", ROOT)))
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env=os.environ | {"PYTHONPATH": paths},
        input=json.dumps([*CASES]),
        text=True,
        check=True,
    )
    return root


@pytest.mark.parametrize("code", CASES)
def test_a_rule_that_is_broken_is_noted_even_if_the_program_hides_it(
    code: str, folders: Path
) -> None:
    folder = folders / str([*CASES].index(code))
    said = (folder / "said").read_text()
    assert said.startswith(CASES[code])
    assert bool(said) == bool(CASES[code])
    assert {path.name for path in folder.iterdir()} == {"inside", "there", "said"}
