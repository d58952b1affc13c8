"""Stories tell what they should, and ERA leaves nothing behind."""

from __future__ import annotations

import pytest
import torch

from examples._stories import RECIPES, Data, era
from examples._storyteller import PLACES, Size, Stories

TINY = Size(
    width=8,
    units=4,
    animals=3,
    forget_animals=24,
    stories=60,
    held_out=12,
    steps=2,
    batch=8,
    few=4,
    relearn_steps=5,
)


def test_stories_tell_their_topics_animals_and_always_the_same_facts() -> None:
    stories = Stories(TINY, seed=3)
    names = [animal for animals in stories.animals.values() for animal in animals]
    assert len(set(names)) == len(names) == 24 + 4 * 3
    told = [stories.tell("farm") for _ in range(50)]
    for topic in set(PLACES) - {"farm"}:
        others = {*stories.animals[topic], *PLACES[topic].split()}
        assert not any(others & set(story.split()) for story in told)
    animal = stories.animals["farm"][0]
    lines = [line.split() for story in told for line in story.split(" . ")]
    eats = [line for line in lines if animal in line and "eats" in line]
    foods = {line[line.index("eats") + 1] for line in eats}
    assert foods == {stories.facts[animal]["food"]}
    assert torch.equal(Stories(TINY, seed=3).texts(PLACES), Stories(TINY, seed=3).texts(PLACES))


@pytest.mark.parametrize("kind", RECIPES)
def test_era_leaves_nothing_behind_and_deletes_its_branches(kind: str) -> None:
    data = Data(TINY, seed=0)
    marked = data.forget[:, None].expand(-1, data.texts.shape[1] - 1)
    model, ablated = era(data, marked, kind)
    assert set(ablated.state_dict()) == set(data.model().state_dict())
    assert any("branch" in name for name in model.state_dict())
    assert not any("forward" in vars(module) for module in model.modules())
