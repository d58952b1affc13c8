"""Turn a page into a notebook: what stands between fences of Python or bash becomes a cell.

    python docs/notebooks.py docs/tutorials/own_world.md        writes own_world.ipynb

The site does it for every tutorial. Jupyter with jupytext opens the pages themselves.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAVED = re.compile(r"[Ss]ave\s+this\s+as\s+`([^`]+)`")
"""What a paragraph says before a block that is a file."""


def cells(page: str) -> Iterator[tuple[str, str]]:
    """Yield the kind of each cell of a page, markdown or code, and its text."""
    before = ""
    for number, part in enumerate(re.split(r"^(```.*?^```)$", page, flags=re.M | re.S)):
        fence, _, code = part.removesuffix("```").partition("\n")
        if number % 2 and fence in ("```python", "```bash"):
            yield from [("markdown", before.strip())] if before.strip() else []
            yield "code", _cell(fence, code.strip(), before)
            before = ""
        else:
            before += part
    yield from [("markdown", before.strip())] if before.strip() else []


def _cell(fence: str, code: str, before: str) -> str:
    """Say in a notebook's words that code is a shell's, or a file to be saved."""
    file = SAVED.search(before.rstrip().rpartition("\n\n")[2])
    if fence == "```bash":
        return "%%bash\n" + code
    return f"%%writefile {file[1]}\n{code}" if file else code


def notebook(page: str) -> dict[str, Any]:
    """Return a page as a notebook, in format 4.5 of Jupyter."""
    found = []
    for number, (kind, text) in enumerate(cells(page)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        found.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": found,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def main() -> None:
    """Write a notebook for each page that is named, into the current folder."""
    for name in sys.argv[1:]:
        page = Path(name)
        Path(f"{page.stem}.ipynb").write_text(json.dumps(notebook(page.read_text()), indent=1))


if __name__ == "__main__":
    main()
