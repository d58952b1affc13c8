"""Films: pictures one after the other, written as a GIF, or as an MP4 where there is ffmpeg."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from routed_rl.utils.errors import UserError

FRAMES_PER_SECOND = 5
"""Of an MP4; a picture that is shown for longer is repeated."""


class Frame(NamedTuple):
    """A picture of a film."""

    image: Image.Image  # all of a film are of one size
    milliseconds: int


def check_film(path: Path) -> None:
    """Raise UserError unless a film can be written there."""
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"cannot write a film to {path.name!r}: end the name in .gif or .mp4.")
    if path.suffix == ".mp4" and _ffmpeg() is None:
        raise UserError(
            f"{path.name} needs ffmpeg, which is not here: pip install imageio-ffmpeg, "
            "or end the name in .gif."
        )


def write_film(path: Path, frames: Sequence[Frame]) -> None:
    """Write a film to a path that passes `check_film`, over what was there.

    Raises:
        UserError: if ffmpeg cannot.
    """
    if path.suffix == ".mp4":
        _write_mp4(path, frames)
        return
    first, *others = (frame.image for frame in frames)
    durations = [frame.milliseconds for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def _write_mp4(path: Path, frames: Sequence[Frame]) -> None:
    """Let ffmpeg encode raw pictures, as all players can read them: 4:2:0, of even sizes."""
    width, height = frames[0].image.size
    command = [
        *(str(_ffmpeg()), "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
        *("-r", str(FRAMES_PER_SECOND), "-i", "-"),
        *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(path)),
    ]
    pictures = b"".join(
        frame.image.tobytes() * (frame.milliseconds * FRAMES_PER_SECOND // 1000) for frame in frames
    )
    done = subprocess.run(command, input=pictures, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UserError(f"ffmpeg cannot write {path} ({said[-1]}): end the name in .gif.")


def _ffmpeg() -> str | None:
    """Return the program, on PATH or as a package brings it; None if it is not there."""
    try:
        return shutil.which("ffmpeg") or importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):  # the package may be there without the program
        return None
