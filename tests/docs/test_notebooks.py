"""A page can be opened as a notebook, whose cells are what the page says."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from helpers import ROOT

NOTEBOOKS = runpy.run_path(str(ROOT / "docs" / "notebooks.py"), run_name="imported")
PAGE = """# A street

Save this as `street.py`:

```python
x = 1
```

Now use it.
```bash
ls
```

```text
street.py
```

```python
print(x)
```
"""


def test_a_page_as_cells() -> None:
    assert list(NOTEBOOKS["cells"](PAGE)) == [
        ("markdown", "# A street\n\nSave this as `street.py`:"),
        ("code", "%%writefile street.py\nx = 1"),
        ("markdown", "Now use it."),
        ("code", "%%bash\nls"),
        ("markdown", "```text\nstreet.py\n```"),
        ("code", "print(x)"),
    ]


@pytest.mark.parametrize(
    "page", ["sb3.md", "tutorials/own_world.md", "tutorials/language_model.md"]
)
def test_a_notebook_is_one_of_jupyter(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebooks.py", str(ROOT / "docs" / page)])
    NOTEBOOKS["main"]()
    book = json.loads((tmp_path / f"{Path(page).stem}.ipynb").read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"]) > 5
    for cell in book["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | code
        assert not "".join(cell["source"]).endswith("\n")
