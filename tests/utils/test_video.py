"""Films as files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from routed_rl.utils.errors import UserError
from routed_rl.utils.video import Frame, check_film, write_film

FRAMES = [Frame(Image.new("RGB", (3, 2), "red"), 400), Frame(Image.new("RGB", (3, 2), "blue"), 200)]


@pytest.fixture
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


def stand_in(folder: Path, script: str) -> str:
    """Write a program that is run in the place of ffmpeg."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_gif_keeps_pictures_and_times(tmp_path: Path) -> None:
    write_film(tmp_path / "film.gif", FRAMES)
    found = []
    with Image.open(tmp_path / "film.gif") as film:
        for number in range(2):
            film.seek(number)
            found.append((film.convert("RGB").getpixel((0, 0)), film.info["duration"]))
    assert found == [((255, 0, 0), 400), ((0, 0, 255), 200)]


def test_ffmpeg_gets_raw_pictures_as_often_as_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it is given last is the path to write to.
    stand_in(tmp_path, 'for path; do :; done; echo "$*" > "$path.flags"; cat > "$path"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    film = tmp_path / "film.mp4"
    check_film(film)
    write_film(film, FRAMES)
    red, blue = b"\xff\0\0" * 6, b"\0\0\xff" * 6
    assert film.read_bytes() == red + red + blue
    assert "-s 3x2 -r 5 -i -" in Path(f"{film}.flags").read_text()


@pytest.mark.usefixtures("no_ffmpeg")
def test_the_program_of_a_package_is_found_and_its_failure_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = stand_in(tmp_path, "echo first >&2; echo 'no such codec' >&2; exit 3")
    package = SimpleNamespace(get_ffmpeg_exe=lambda: program)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", package)
    with pytest.raises(UserError, match=r"film.mp4 \(no such codec\): end the name in .gif"):
        write_film(tmp_path / "film.mp4", FRAMES)


@pytest.mark.usefixtures("no_ffmpeg")
def test_what_cannot_be_written_is_told_with_what_to_do() -> None:
    check_film(Path("film.gif"))
    with pytest.raises(UserError, match=r"pip install imageio-ffmpeg, or end the name in .gif"):
        check_film(Path("film.mp4"))
    with pytest.raises(UserError, match=r"cannot write a film to 'film.avi'"):
        check_film(Path("film.avi"))
