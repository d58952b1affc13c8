"""Change the code where a wrong sign is silent, and see a test fail: `make mutate`.

Each mutant is one small change of one file (`operators.py`): another sign, comparison, constant or
axis, a condition that always holds, a step, a `detach` or an argument left out. The tests that run
its line are run, the fastest first, until one fails. A mutant that none fails on survives, unless
`equivalent.toml` says why it changes nothing.

It is a tool of our own. mutmut 3.8 works here, at two mutants a second. But it passes by functions
with a decorator, and so by most of what is computed without gradient. It knows no `detach` and no
axis, and it keeps no list of what is equivalent and why. cosmic-ray 8.7 starts pytest for each
mutant, and to import torch and the tests takes seconds.

    python tests/mutation/mutate.py                     # all files
    python tests/mutation/mutate.py routed_rl/sb3/*.py  # some

What was found is kept in build/mutate.json, and holds until the file or those tests change.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants import Key, Mutant, mutants_of
from records import Records, Trials
from tqdm import tqdm
from trials import SURVIVED

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "mutate.json"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PRELOADED = ("torch", "numpy", "gymnasium", "stable_baselines3", "torch.utils.tensorboard")
"""What others wrote, and every process needs."""


@dataclass(frozen=True)
class Group:
    """Files, and where their tests are."""

    files: Sequence[str]
    tests: Sequence[str]
    preloaded: Sequence[str] = ()
    """Extras that the tests need."""

    @property
    def marks(self) -> str:
        """Which of the tests are run."""
        return "not slow" if self.preloaded else "not slow and not extras"


def _files(folder: str, names: str) -> list[str]:
    return [f"routed_rl/{folder}/{name}.py" for name in names.split()]


def _tests(folder: str, names: str) -> list[str]:
    return [f"tests/{folder}/test_{name}.py" for name in names.split()]


_LANGUAGE = ("transformers.models.llama.modeling_llama", "peft", "trl.trainer.grpo_trainer")
GROUPS = (
    Group(_files("rollouts", "labels rewards"), ["tests/rollouts"]),
    Group(
        _files("algorithms", "losses advantages objective signal outcome_model samples"),
        ["tests/algorithms", "tests/agents"],
    ),
    Group(
        _files("evaluation", "exact"),
        _tests("evaluation", "exact longhand"),
    ),
    Group(_files("worlds", "oversight episode_oversight"), ["tests/worlds"]),
    Group(
        _files("routing", "masks rules formulas gradients outputs learning block calls"),
        _tests(
            "routing",
            "formulas gradients masks outputs placed taps left_behind longhand regions rules "
            "situations unusual verify ways what_rules_say blocks calls",
        ),
    ),
    Group(
        _files("sb3", "buffer callback export extractors optimizer policy reward vec_env"),
        ["tests/sb3"],
    ),
    Group(
        _files("trl", "advantages flags optimizer"),
        _tests("trl", "advantages flags optimizer"),
        _LANGUAGE,
    ),
    Group(
        _files("trl", "routes adapters mlp"),
        _tests("trl", "routes adapters mlp told"),
        _LANGUAGE,
    ),
)
"""Where a wrong sign is silent. Left out are tests of what torch compiles, where no line can be
seen to run, and those of several processes."""


def equivalents() -> dict[Key, str]:
    """Read which mutants change nothing, and why."""
    found = {}
    for entry in tomllib.loads(EQUIVALENT.read_text())["equivalent"]:
        for becomes in entry["becomes"]:
            found[entry["file"], entry["scope"], entry["was"], becomes] = entry["reason"]
    return found


def try_all(groups: Sequence[Group], wanted: Sequence[str]) -> dict[Mutant, str]:
    """Return for each mutant which test fails, or SURVIVED."""
    verdicts = {}
    records = Records(CACHE)
    mutants = {file: mutants_of(ROOT, file) for file in wanted}
    with tqdm(
        total=sum(map(len, mutants.values())),
        unit="mutant",
        smoothing=0,
        mininterval=0.1 if sys.stderr.isatty() else 15,
    ) as bar:
        for group in groups:
            for name in group.preloaded:
                importlib.import_module(name)
            trials = Trials(ROOT, group.files, group.tests, group.marks, records)
            for file in (file for file in group.files if file in mutants):
                bar.set_description(file.removeprefix("routed_rl/"))
                for mutant in mutants[file]:
                    verdicts[mutant] = trials.verdict(mutant)
                    bar.update()
            trials.close()
            records.save()
    return verdicts


def report(verdicts: Mapping[Mutant, str], known: Mapping[Key, str]) -> int:
    """Print what was found, and return how many mutants or entries are amiss."""
    counts: dict[str, Counter[str]] = {}
    surviving = []
    for mutant, verdict in verdicts.items():
        kind = "killed" if verdict != SURVIVED else "equivalent"
        if verdict == SURVIVED and mutant.key not in known:
            kind = "surviving"
            surviving.append(mutant)
        counts.setdefault(mutant.file, Counter())[kind] += 1
    for mutant in surviving:
        print(f"\n{mutant.file}:{mutant.lines[0]} in {mutant.scope or 'the module'}")
        print(f"  - {mutant.was}\n  + {mutant.becomes}")
    killed = {mutant.key for mutant, verdict in verdicts.items() if verdict != SURVIVED}
    there = {mutant.key for mutant in verdicts}
    amiss = [key for key in known if key in killed or (key[0] in counts and key not in there)]
    for key in amiss:
        why = "a test fails on it" if key in killed else "there is no such mutant"
        print(f"\n{EQUIVALENT.name} has what it may not have, {why}:\n  {' | '.join(key)}")
    print(f"\n{'file':44}{'mutants':>9}{'killed':>9}{'equivalent':>12}{'surviving':>11}  score")
    for file, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        total, dead, same = count.total(), count["killed"], count["equivalent"]
        score = dead / max(total - same, 1)
        print(f"{file:44}{total:9}{dead:9}{same:12}{count['surviving']:11}  {score:.1%}")
    return len(surviving) + len(amiss)


def main() -> int:
    """Try the mutants of the files that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [file for group in GROUPS for file in group.files]
    parser.add_argument("files", nargs="*", help="of these files; all unless given")
    files = parser.parse_args().files or known
    if unknown := set(files) - set(known):
        parser.error(f"no tests are known for {', '.join(sorted(unknown))}: name them in GROUPS.")
    began = time.monotonic()
    for name in PRELOADED:
        importlib.import_module(name)
    groups = [group for group in GROUPS if set(group.files) & set(files)]
    amiss = report(try_all(groups, files), equivalents())
    print(f"\n{time.monotonic() - began:.0f} seconds")
    return int(amiss > 0)


if __name__ == "__main__":
    sys.exit(main())
