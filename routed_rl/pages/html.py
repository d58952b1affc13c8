"""One file of everything: a page that needs no server and asks no network for anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

NAME = "report.html"
"""Of a page, in the folder that it shows."""
ASSETS = Path(__file__).parent / "assets"
RUN_SCRIPTS = ("data", "model", "board", "chart", "hero", "play", "proof", "run")
"""What a run's page needs, in order."""
FOLDER_SCRIPTS = ("data", "chart", "folder")
DIAL_SCRIPTS = ("data", "chart", "dial")
# Nothing may be loaded from anywhere: what a page shows lies in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """Put a page together.

    Args:
        title: of the page; also its heading.
        data: what the scripts read.
        scripts: names of files in `assets`.
    """
    # "</script>" in a name would end the data, and "<!--" begin a comment.
    written = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    code = "\n".join((ASSETS / f"{name}.js").read_text() for name in scripts)
    style = (ASSETS / "page.css").read_text()
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main id="page"><noscript>This page needs JavaScript.</noscript></main>
<script type="application/json" id="data">{written}</script>
<script>
"use strict";
{code}</script>
</body>
</html>
"""
