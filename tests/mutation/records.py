"""What tests say of mutants, kept on disk until a file or a test changes."""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from mutants import Mutant
from trials import SURVIVED, Job, Server, imported

SECONDS = 6.0
"""The fastest tests that run a line, so long in all, have to see what is wrong with it."""


class Records:
    """What is known, and the state of the files for which it holds."""

    def __init__(self, path: Path) -> None:
        """Read it, if there is any."""
        self._path = path
        self.known: dict[str, list[Any]] = json.loads(path.read_text()) if path.exists() else {}

    def save(self) -> None:
        """Write it down."""
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self.known))


class Trials:
    """A group of files, and what its tests say of their mutants."""

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        tests: Sequence[str],
        marks: str,
        records: Records,
    ) -> None:
        """Find out which tests, of those with these marks, run which lines."""
        self._root = root
        self._tests = tests
        self._marks = marks
        self._records = records
        self._server: Server | None = None
        self._stamps: dict[str, str] = {}
        self._new = 0
        self._covered = self._coverage([str(root / file) for file in files])

    def close(self) -> None:
        """End the process that runs tests, if one was needed."""
        if self._server is not None:
            self._server.close()

    def verdict(self, mutant: Mutant) -> str:
        """Return which test fails on a mutant, or SURVIVED."""
        tests = self._tests_for(mutant)
        key = " | ".join(mutant.key)
        before = self._records.known.get(key)
        if before and before[0] == self._stamp(mutant.file, before[1], tests):
            return before[1]
        if before and before[1] in tests:  # it may fail once more
            tests = [before[1], *(name for name in tests if name != before[1])]
        verdict = self._tried(mutant, tests) if tests else SURVIVED
        self._records.known[key] = [self._stamp(mutant.file, verdict, tests), verdict]
        self._new += 1
        if self._new % 10 == 0:
            self._records.save()
        return verdict

    def _tried(self, mutant: Mutant, tests: Sequence[str]) -> str:
        seconds = 10 + 3 * sum(self._covered[name][0] for name in tests)
        module = mutant.file.removesuffix(".py").replace("/", ".")
        path = str(self._root / mutant.file)
        code = marshal.dumps(mutant.code)
        job = Job(path, module, mutant.scope, code, tests, seconds, self._marks)
        verdict = None if mutant.at_import else self._ask(job)
        return imported(job) if verdict is None else verdict

    def _tests_for(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's lines, the fastest first."""
        path, (first, last) = str(self._root / mutant.file), mutant.lines
        found = []
        for name, (seconds, lines) in self._covered.items():
            seen = lines.get(path, ())
            if any(first <= n <= last or mutant.at_import for n in seen):
                found.append((seconds, name))
        found.sort()
        total = accumulate(seconds for seconds, _ in found)
        return [name for (_, name), until in zip(found, total, strict=True) if until <= SECONDS]

    def _coverage(self, paths: Sequence[str]) -> dict[str, Any]:
        """Return for each test its seconds and lines."""
        support = [*self._root.glob("tests/support/*.py"), self._root / "tests/conftest.py"]
        below = [p for test in self._tests for p in sorted((self._root / test).rglob("*.py"))]
        files = [*map(Path, paths), *below, *(self._root / test for test in self._tests)]
        stamp = _hash(p.read_bytes() for p in [*files, *sorted(support)] if p.is_file())
        key = "coverage of " + " ".join(self._tests)
        known = self._records.known.get(key)
        if known is None or known[0] != stamp:
            known = [stamp, self._ask(paths)]
            if isinstance(known[1], str):
                raise RuntimeError(f"without any mutant a test fails: {known[1]}")
            if not any(lines for _, lines in known[1].values()):
                raise RuntimeError(f"no test runs {paths}: is another copy installed?")
            self._records.known[key] = known
            self._records.save()
        return known[1]

    def _ask(self, question: Any) -> Any:
        if self._server is None:
            self._server = Server(self._tests, self._marks)
        return self._server.ask(question)

    def _stamp(self, file: str, verdict: str, tests: Sequence[str]) -> str:
        """Return what a verdict rests on: the file, and the test that failed, or all of them."""
        needed = [verdict] if verdict in tests else sorted(tests)
        for path in {file, *(name.partition("::")[0] for name in needed)} - set(self._stamps):
            self._stamps[path] = _hash([(self._root / path).read_bytes()])
        parts = [self._stamps[file], *needed]
        return _hash(
            part.encode() + self._stamps.get(part.partition("::")[0], "").encode() for part in parts
        )


def _hash(parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
