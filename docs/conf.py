"""How Sphinx builds the site from these pages: `make docs`."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import routed_rl

project = "routed_rl"
author = "the authors of routed_rl"
copyright = f"2026, {author}"
version = release = routed_rl.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # links to headings are checked
myst_enable_extensions = ["attrs_inline"]

autodoc_mock_imports = ["trl", "peft", "transformers", "accelerate", "datasets"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
default_role = "code"  # docstrings set names in single backticks
maximum_signature_line_length = 88
nitpicky = True  # a name of ours that is referred to has a place to go to
nitpick_ignore_regex = [
    ("py:.*", r"(torch|numpy|gymnasium|stable_baselines3|peft|collections|pathlib|types|nn)\..*"),
    ("py:.*", r"Tensor|PeftModel|LoraConfig|Place|Shape|Path"),
    ("py:.*", r"routed_rl\.\w+\.\w+\.\w+"),  # what is no public name has no page
]

html_theme = "furo"
html_title = "routed_rl"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

HERE = Path(__file__).parent
NOTEBOOKS = ("tutorials/own_world", "sb3", "tutorials/language_model")
"""Pages that are notebooks, too."""
LINK = '\n<p><a href="{}" download>Download this page as a notebook</a></p>\n'


def as_written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep Sphinx from reading more into a docstring than is there."""
    # A star is no emphasis: shapes are written (B, *obs_shape).
    lines[:] = ["`".join(_no_emphasis(line)) for line in lines]
    # "Sentence: more of it" under a field is no type and its description, as Napoleon has it.
    if what in ("attribute", "property") and lines:
        lines[0] = f": {lines[0]}"


def _no_emphasis(line: str) -> list[str]:
    """Split a line at its backticks, with stars outside of them escaped."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"\*", r"\\*", part) for part in parts[::2]]
    return parts


def link_notebook(app: Any, docname: str, source: list[str]) -> None:
    """Link a notebook under the title of its page, on the site alone."""
    if docname in NOTEBOOKS:
        title, _, rest = source[0].partition("\n")
        source[0] = f"{title}\n{LINK.format(Path(docname).name + '.ipynb')}{rest}"


def write_notebooks(app: Any, exception: Exception | None) -> None:
    """Write the notebooks beside their pages."""
    if exception is None and app.builder.name == "html":
        notebook = runpy.run_path(str(HERE / "notebooks.py"))["notebook"]
        for name in NOTEBOOKS:
            page = (HERE / f"{name}.md").read_text()
            Path(app.outdir, f"{name}.ipynb").write_text(json.dumps(notebook(page), indent=1))


def setup(app: Any) -> None:
    """Add what this file defines to Sphinx."""
    app.connect("source-read", link_notebook)
    app.connect("build-finished", write_notebooks)
    app.connect("autodoc-process-docstring", as_written, priority=400)  # before Napoleon
