"""Figures of how code is written, a column for each folder.

    python benchmarks/code_figures.py FOLDER ... [-v]

Tests, documents, examples and benchmarks are left out. With -v the places are named: packed
assignments, long functions, functions of many parameters.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import tokenize as tk
from collections import Counter
from pathlib import Path

SKIPPED = {"tests", "test", "docs", "examples", "benchmarks", ".git", ".venv", "node_modules"}
NO_CODE = {tk.COMMENT, tk.NL, tk.NEWLINE, tk.INDENT, tk.DEDENT, tk.ENDMARKER}


class Figures:
    """What is counted in the files of a folder; one that cannot be parsed counts by its lines."""

    def __init__(self, root: Path) -> None:
        """Count."""
        found = root.rglob("*.py")
        self.paths = [p for p in found if not SKIPPED & set(p.relative_to(root).parts[:-1])]
        self.sizes: list[int] = []
        self.counts: Counter[str] = Counter()
        self.places: list[str] = []
        self.functions: list[tuple[int, int]] = []  # lines, and parameters without self and cls
        for path in self.paths:
            text = path.read_text(errors="replace")
            lengths = [len(line) for line in text.splitlines()]
            self.sizes.append(len(lengths))
            self.counts["long"] += sum(length > 100 for length in lengths)
            try:
                tree = ast.parse(text)
                tokens = list(tk.generate_tokens(io.StringIO(text).readline))
            except (SyntaxError, ValueError, tk.TokenError):
                continue
            self.counts["comments"] += sum(token.type == tk.COMMENT for token in tokens)
            self.counts["code"] += len({t.start[0] for t in tokens if t.type not in NO_CODE})
            for node in ast.walk(tree):
                self._count(node, path)

    def _count(self, node: ast.AST, path: Path) -> None:
        """Count one node of a file's syntax tree."""
        if isinstance(node, ast.IfExp):
            inside = sum(isinstance(child, ast.IfExp) for child in ast.walk(node))
            self.counts.update(ternaries=1, nested=int(inside > 1))
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            self.counts["comprehensions"] += 1
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            if isinstance(node.targets[0], ast.Tuple):
                self.places.append(f"tuple {path}:{node.lineno}")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            args = node.args
            count = len(args.posonlyargs + args.args + args.kwonlyargs)
            count += (args.vararg is not None) + (args.kwarg is not None)
            count -= bool(args.args) and args.args[0].arg in ("self", "cls")
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            self.functions.append((size, count))
            for kind, number, most in (("long", size, 40), ("params", count, 6)):
                if number > most:
                    self.places.append(f"{kind} {path}:{node.lineno} {node.name} {number}")

    def table(self) -> dict[str, float]:
        """Return each figure by its name."""
        percent = 100 / sum(self.sizes)
        sizes, parameters = zip(*self.functions, strict=True)
        return {
            "files": len(self.paths),
            "fullest folder": max(Counter(path.parent for path in self.paths).values()),
            "median lines": statistics.median(self.sizes),
            "max lines": max(self.sizes),
            "comments/100 code": 100 * self.counts["comments"] / self.counts["code"],
            "lines>100 %": percent * self.counts["long"],
            "ternaries/100": percent * self.counts["ternaries"],
            "nested ternaries": self.counts["nested"],
            "comprehensions/100": percent * self.counts["comprehensions"],
            "tuple assigns/100": percent * sum(place.startswith("tuple") for place in self.places),
            "longest function": max(sizes),
            "functions>40": sum(size > 40 for size in sizes),
            "most params": max(parameters),
            "functions>6 params": sum(count > 6 for count in parameters),
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="where Python files are")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the places")
    args = parser.parse_args()
    columns = [Figures(folder) for folder in args.folders]
    if args.verbose:
        print(*(place for column in columns for place in column.places), sep="\n")
    tables = [column.table() for column in columns]
    print(f"{'':22}" + "".join(f"{folder.name:>14}" for folder in args.folders))
    for name in tables[0]:
        print(f"{name:22}" + "".join(f"{table[name]:14.2f}" for table in tables))


if __name__ == "__main__":
    main()
