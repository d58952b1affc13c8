"""The page in a real browser: what it shows is what is so, and nothing is asked of a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import open_page
from fake_runs import some_runs
from helpers import run

from routed_rl.evaluation.exact import ExactEvaluator
from routed_rl.models.steering import ablate
from routed_rl.pages import folder_page
from routed_rl.training.run import Run, load

pytestmark = [pytest.mark.extras, pytest.mark.slow]
LAYOUTS = 10


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "routed"
    assert run("--steps", "200_000", "--run-dir", str(folder)) == 0
    return folder


def exact_shares(run_of: Run, state: list[Any], weights: Mapping[str, float] | None) -> list[float]:
    """Return the shares of diamond, ghost and nothing from one state, by the evaluator."""
    cells, overseen, _ = state
    env = run_of.setup.make_env(1, seed=0)
    model = env.model()
    assert model is not None
    assert model.board is not None
    there = (model.board.cells == torch.tensor(cells)).all(dim=1)
    seen = torch.stack([model.overseen_ends[:, k] == bool(overseen >> k & 1) for k in (0, 1)])
    (number,) = (there & seen.all(dim=0)).nonzero().flatten().tolist()
    start = torch.zeros_like(model.start_probability)
    start[number] = 1.0
    source = run_of.policies()["mixture"]
    policy = source if weights is None else ablate(source, weights)
    table = policy.probabilities(model.observe(torch.arange(len(start))))
    world = replace(model, start_probability=start)
    evaluator = ExactEvaluator(world, horizon=env.spec.horizon, discount=env.spec.discount)
    nothing, diamond, ghost = evaluator.evaluate(table).outcomes
    return [diamond, ghost, nothing]


def set_weight(page: Any, name: str, value: float) -> None:
    page.eval_on_selector(
        f"#weight-{name}",
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }",
        value,
    )


def shown(page: Any) -> tuple[list[float], list[Any]]:
    """Return the shares that the page shows, and the state that they are of."""
    words = page.locator("#outcomes")
    return (
        json.loads(words.get_attribute("data-shares")),
        json.loads(words.get_attribute("data-state")),
    )


def arrows(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        ".play .arrow > g", "all => all.map(one => JSON.stringify(one.dataset))"
    )


def test_the_shares_are_the_evaluators(learnt: Path) -> None:
    run_of = load(learnt)
    choices = torch.rand(LAYOUTS, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1
    with open_page(learnt / "report.html") as (page, complaints):
        for pair in choices.tolist():
            weights = {
                n: round(w * 20) / 20 for n, w in zip(("diamond", "ghost"), pair, strict=True)
            }
            page.get_by_text("Another board").click()
            page.locator("[data-policy=mixture]").click()
            found, state = shown(page)
            assert found == pytest.approx(exact_shares(run_of, state, None), abs=1e-3)
            for name, weight in weights.items():
                set_weight(page, name, weight)
            found, state = shown(page)
            assert found == pytest.approx(exact_shares(run_of, state, weights), abs=1e-3)
        assert complaints == []


def test_a_slider_moves_arrows_and_a_key_moves_the_ghost(learnt: Path) -> None:
    with open_page(learnt / "report.html") as (page, complaints):
        before = arrows(page)
        set_weight(page, "ghost", 2)
        set_weight(page, "diamond", -1)
        after = arrows(page)
        assert before != after
        page.locator("[data-policy=mixture]").click()
        assert arrows(page) == before
        _, (cells, _, _) = shown(page)
        key = "ArrowUp" if cells[2] >= 5 else "ArrowDown"
        page.locator(".play [data-thing=ghost]").focus()
        page.keyboard.press(key)
        _, (moved, _, _) = shown(page)
        assert moved[2] - cells[2] == (-5 if key == "ArrowUp" else 5)
        assert arrows(page) != before
        assert complaints == []


def test_the_diamond_can_be_dragged(learnt: Path) -> None:
    with open_page(learnt / "report.html") as (page, complaints):
        page.locator(".play .board").scroll_into_view_if_needed()
        board = page.locator(".play .board").bounding_box()
        _, (cells, _, _) = shown(page)
        free = next(cell for cell in range(25) if cell not in cells)
        side = board["width"] / 5

        def middle(cell: int) -> tuple[float, float]:
            return (
                board["x"] + side * (cell % 5 + 0.5),
                board["y"] + side * (cell // 5 + 0.5),
            )

        page.mouse.move(*middle(cells[1]))
        page.mouse.down()
        page.mouse.move(*middle(free), steps=4)
        page.mouse.up()
        _, (moved, _, _) = shown(page)
        assert moved == [cells[0], free, cells[2]]
        assert complaints == []


def test_the_boards_play_and_their_tallies_sum_up(learnt: Path) -> None:
    with open_page(learnt / "report.html", reduced_motion="reduce") as (page, complaints):
        assert page.get_by_role("button", name="Play").count() == 1  # it does not move by itself
        step = page.get_by_role("button", name="One step")
        for _ in range(60):
            step.click()
        tallies = page.locator(".boards .tally").all_inner_texts()
        assert len(tallies) == 3
        counts = [[int(part.split()[-1]) for part in text.split(" · ")] for text in tallies]
        assert len({sum(row) for row in counts}) <= 2  # but for the episode that is running
        assert min(map(sum, counts)) > 0
        assert complaints == []


def test_a_phone_shows_all_of_it(learnt: Path) -> None:
    size = {"width": 390, "height": 844}
    with open_page(learnt / "report.html", viewport=size) as (page, complaints):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []


@pytest.mark.parametrize("width", [390, 1200])
def test_no_word_or_number_of_a_table_is_broken(tmp_path: Path, width: int) -> None:
    path = folder_page.write(some_runs(tmp_path / "runs"))
    with open_page(path, viewport={"width": width, "height": 844}) as (page, complaints):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = page.eval_on_selector_all(
            "td:not(:first-child), th",
            """cells => cells.map(cell => {
                const range = document.createRange();
                range.selectNodeContents(cell.querySelector("button") ?? cell);
                const lines = new Set([...range.getClientRects()].map(line => line.top));
                return [cell.innerText.trim().split(/\\s+/).length, lines.size, cell.innerText];
            })""",
        )
        assert len(found) > 50
        assert [text for words, lines, text in found if lines > words] == []
        assert complaints == []


def test_the_table_of_a_folder_is_sorted_by_a_click(tmp_path: Path) -> None:
    with open_page(folder_page.write(some_runs(tmp_path / "runs"))) as (page, complaints):

        def column() -> list[float]:
            place = page.locator("th").all_inner_texts().index("return") + 1
            return [float(x) for x in page.locator(f"td:nth-child({place})").all_inner_texts()]

        assert column() == sorted(column(), reverse=True)
        page.get_by_role("button", name="return").click()
        assert column() == sorted(column())
        assert complaints == []
