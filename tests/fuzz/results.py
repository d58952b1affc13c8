"""What a run leaves to be read: results, curves, arrows, settings, dials; and the page of it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml
from calls import NO_PICTURES, Target, call, write
from guard import Broken
from hypothesis import strategies as st
from run_folders import FILES
from strategies import changed, deep, lines_of, spoilt

ELEMENTS = [
    *("html", "head", "meta", "meta", "meta", "meta", "title", "style", "body", "main"),
    *("noscript", "script", "script"),
]
"""Of a page, whatever it shows."""


class _Page(HTMLParser):
    """Notes the elements of a page, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] == ["script"]:
            self.texts.append(data)


def try_page(folder: str) -> None:
    """Write a page into a folder; no word in it may be more than a word."""
    if call("report", folder, folder=folder) == 0:
        page = _Page(Path(folder, "report.html").read_text())
        if page.elements != ELEMENTS:
            raise Broken(f"the page has the elements {page.elements}")
        json.loads(page.texts[0])


def _json(plain: Any) -> bytes:
    return json.dumps(plain).encode()


def _yaml(plain: Any) -> bytes:
    return yaml.safe_dump(plain, sort_keys=False).encode()


def _jsonl(lines: Any) -> bytes:
    return b"\n".join(map(_json, lines)) if isinstance(lines, list) else _json(lines)


def _csv(rows: Any) -> bytes:
    """Write a table, whose rows may be none any more."""
    rows = rows if isinstance(rows, list) else [rows]
    cells = [map(str, row) if isinstance(row, list) else [str(row)] for row in rows]
    return lines_of(map(",".join, cells))


def _changed(name: str) -> st.SearchStrategy[tuple[str, Any]]:
    """Change the file of a name."""
    text = FILES[name].decode()
    write, plain = {
        "result.json": lambda: (_json, json.loads(text)),
        "arrows.jsonl": lambda: (_jsonl, [json.loads(line) for line in text.splitlines()]),
        "metrics.csv": lambda: (_csv, [line.split(",") for line in text.splitlines()]),
        "config.yaml": lambda: (_yaml, yaml.safe_load(text)),
    }[name]()
    return st.tuples(st.just(name), changed(plain, write))


HUGE = (
    *(("result.json", b"[" * 9000), ("result.json", b'{"x":' * 9000), ("result.json", b"9" * 9000)),
    *(("arrows.jsonl", _json(deep(900))), ("arrows.jsonl", b"[" * 9000)),
    ("arrows.jsonl", b"9" * 9000),
    *(("metrics.csv", b'"' + b"x" * 200_000), ("metrics.csv", b"\0"), ("command.txt", b"'" * 99)),
)
bytes_of_any = st.sampled_from(sorted(set(FILES) - {"checkpoints/last.pt"})).flatmap(
    lambda name: st.tuples(st.just(name), spoilt(FILES[name]) | st.binary(max_size=9))
)
change = st.one_of(
    *(_changed("result.json"), _changed("result.json"), _changed("metrics.csv")),
    *(_changed("arrows.jsonl"), _changed("config.yaml"), bytes_of_any, st.sampled_from(HUGE)),
)
changes = st.lists(change, min_size=1, max_size=1) | st.lists(change, min_size=2, max_size=2)
LOOKS = (("plot", "runs"), ("plot", "runs/one"), ("report", "runs"), ("report", "runs/one"))
READ = {name: FILES[name] for name in ("result.json", "metrics.csv")}


def try_results(drawn: tuple[tuple[str, ...], list[tuple[str, Any]]]) -> None:
    """Look at a run, and at one beside it that is not changed."""
    look, files = drawn
    write(FILES | dict(files), "runs/one")
    other = FILES["config.yaml"].replace(b"seed: 0", b"seed: 1")
    write(READ | {"config.yaml": other}, "runs/two")
    if look[0] == "report":
        try_page(look[1])
    else:
        call(*look, folder=look[1])


_DIAL = {
    "arm": "routed",
    "seed": 0,
    "dial": {"0": {"bad": 0.5, "good": 1}, "1": {"bad": 1, "good": 0.2}},
}
dials = st.one_of(changed(_DIAL, _json), spoilt(_json(_DIAL)), st.just(b"[" * 9000))


def try_dials(data: Any) -> None:
    """Show a quarantine's dials, one of which is changed."""
    write({"a.json": data, "b.json": _json(_DIAL)}, "q")
    try_page("q")


TARGETS = (
    Target("results", st.tuples(st.sampled_from(LOOKS), changes), try_results, 45, NO_PICTURES),
    Target("figures", st.tuples(st.sampled_from(LOOKS[:2]), changes), try_results, 1),
    Target("dials", dials, try_dials, 80),
)
