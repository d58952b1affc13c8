"""The animation of the README: a run's page, stepped through in a browser, as a GIF.

    python train.py --run-dir runs/hero
    python docs/pictures/hero.py runs/hero

Needs playwright and Chromium, as the tests of pages do.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

OUT = Path(__file__).with_name("hero.gif")
TICKS = 130
WIDTH = 860
CAPTION = (
    "One agent, trained where one end in ten is overseen: the same episodes, three ways.",
    "Cut out the part that labels of ghosts taught, and what is left seeks diamonds.",
)
INK = (47, 52, 64)
STEP = 170  # milliseconds


def main() -> None:
    """Take a picture of the boards after each step."""
    from playwright.sync_api import sync_playwright

    page_file = Path(sys.argv[1]) / "report.html"
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        size = {"width": WIDTH, "height": 900}
        page = browser.new_page(viewport=size, reduced_motion="reduce", color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.wait_for_selector("#page[data-ready=yes]")
        boards = page.locator(".boards").first
        step = page.get_by_role("button", name="One step")
        frames = []
        for _ in range(TICKS):
            frames.append(captioned(Image.open(io.BytesIO(boards.screenshot()))))
            step.click()
        browser.close()
    write(frames)


def captioned(picture: Image.Image) -> Image.Image:
    """Put the caption over a picture, and a margin around it."""
    head = 64
    whole = Image.new("RGB", (picture.width + 32, picture.height + head + 12), "white")
    whole.paste(picture.convert("RGB"), (16, head))
    draw = ImageDraw.Draw(whole)
    for k, line in enumerate(CAPTION):
        draw.text((16, 10 + 24 * k), line, INK, ImageFont.load_default(17))
    return whole


def write(frames: list[Image.Image]) -> None:
    """Write the GIF: one palette for all frames, and equal ones as one that lasts longer."""
    palette = frames[-1].quantize(128, dither=Image.Dither.NONE)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(OUT, save_all=True, append_images=small[1:], duration=STEP, loop=0, optimize=True)
    print(f"Wrote {OUT}: {len(frames)} frames, {OUT.stat().st_size / 1e6:.2f} MB.")


if __name__ == "__main__":
    main()
