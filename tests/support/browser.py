"""A real browser for tests of pages: Chromium, as the machine has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_page(path: Path, **settings: Any) -> Iterator[tuple[Any, list[str]]]:
    """Open a page of routed_rl; yield it, and what it complained of or asked a network for.

    Args:
        path: of the file.
        settings: of the browser's page, such as its size.
    """
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "no Chromium: install it (apt-get install chromium), or set CHROMIUM to its path"
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(**settings)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _asked(request.url, complaints))
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("#page[data-ready=yes]", timeout=60_000)
        yield page, complaints
        browser.close()


def _asked(url: str, complaints: list[str]) -> None:
    """Note a request, unless it is for the file itself or what lies in it."""
    if not url.startswith(("file:", "data:", "blob:")):
        complaints.append(f"it asked for {url}")
