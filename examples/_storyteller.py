"""Generated stories with a topic to forget.

Each topic has its own places and made-up animals. Each animal has a colour, a food and a home,
which only stories tell.

    ben went to the reef . the lero has a red pit . a zeru eats leaves in its drain . ben was calm .
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from _language import PAD
from torch import Tensor

PLACES = {
    "sea": "beach harbour reef",
    "farm": "barn field stable",
    "forest": "glade thicket grove",
    "mountain": "peak cave ridge",
    "town": "square market bridge",
}
FORGET, *RETAIN = PLACES
FILLERS = {
    "name": "anna ben cleo dan emma finn gita hugo ines jon kate leo",
    "colour": "red blue green black white brown grey yellow pink gold silver orange",
    "food": "grass worms seeds flies roots berries leaves eggs moss nuts bread honey",
    "home": "hole nest log pile wall pond tree hut pit bush shed drain",
    "mood": "glad calm proud tired brave sleepy",
}
FACTS = ("colour", "food", "home")
FIRST = "{name} went to the {place} ."
LINES = (
    "the {animal} is {colour} and eats {food} .",
    "a {animal} eats {food} in its {home} .",
    "the {animal} has a {colour} {home} .",
)
LAST = "{name} was {mood} ."


@dataclass(frozen=True)
class Size:
    """How large and how long."""

    width: int = 48
    layers: int = 2
    branch_layers: int = 2
    """Layers from the first that get a branch."""
    units: int = 32
    """Hidden units of a branch."""
    animals: int = 16
    """Animals of a topic that is kept."""
    forget_animals: int = 16
    lines: int = 2
    """Lines with facts in a story."""
    stories: int = 4000
    held_out: int = 256
    steps: int = 250
    batch: int = 32
    learning_rate: float = 1e-2
    few: int = 64
    """Stories to repair with, and to relearn from."""
    repair_steps: int = 10
    relearn_steps: int = 20
    tune_rate: float = 1e-3
    """Learning rate of repairing and relearning."""


FULL = Size(
    width=512,
    layers=8,
    branch_layers=5,
    units=64,
    animals=200,
    forget_animals=200,
    stories=200_000,
    steps=20_000,
    batch=128,
    learning_rate=5e-4,
    tune_rate=1e-4,
)
"""The paper's depth and branches, on more of the same stories; wants a graphics card's speed."""


class Stories:
    """Tells stories, and numbers the words in them."""

    def __init__(self, size: Size, seed: int) -> None:
        """Invent the animals and their facts."""
        self._generator = torch.Generator().manual_seed(seed)
        syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
        invented = [first + second for first, second in itertools.product(syllables, repeat=2)]
        order = torch.randperm(len(invented), generator=self._generator).tolist()
        names = (invented[number] for number in order)  # each is taken once
        self.animals: dict[str, list[str]] = {}
        for topic in PLACES:
            count = size.forget_animals if topic == FORGET else size.animals
            self.animals[topic] = list(itertools.islice(names, count))
        every_animal = list(itertools.chain(*self.animals.values()))
        self.facts: dict[str, dict[str, str]] = {}
        for animal in every_animal:
            self.facts[animal] = {kind: self._one(FILLERS[kind].split()) for kind in FACTS}
        self.words = ["<pad>", "<start>", *_plain_words(), *every_animal]
        self._index = {word: number for number, word in enumerate(self.words)}
        self.lines = size.lines
        longest_line = max(len(line.split()) for line in LINES)
        self.length = 1 + len(FIRST.split()) + size.lines * longest_line + len(LAST.split())

    def tell(self, topic: str) -> str:
        """Tell a story."""
        name = self._one(FILLERS["name"].split())
        told = [FIRST.format(name=name, place=self._one(PLACES[topic].split()))]
        for _ in range(self.lines):
            animal = self._one(self.animals[topic])
            told.append(self._one(LINES).format(animal=animal, **self.facts[animal]))
        told.append(LAST.format(name=name, mood=self._one(FILLERS["mood"].split())))
        return " ".join(told)

    def texts(self, topics: Iterable[str]) -> Tensor:
        """Tell a story of each topic, as numbers of words (N, T)."""
        rows = []
        for topic in topics:
            words = ["<start>", *self.tell(topic).split()]
            padding = [PAD] * (self.length - len(words))
            rows.append([self._index[word] for word in words] + padding)
        return torch.tensor(rows)

    def number(self, word: str) -> int:
        """Give the number of a word."""
        return self._index[word]

    def _one(self, options: Iterable[str]) -> str:
        """Choose one."""
        options = tuple(options)
        return options[int(torch.randint(len(options), (), generator=self._generator))]


def _plain_words() -> list[str]:
    """List all words but the animals."""
    fixed = set()
    for line in (*LINES, FIRST, LAST):
        fixed |= {word for word in line.split() if "{" not in word}
    filled = [text.split() for text in (*FILLERS.values(), *PLACES.values())]
    return [*sorted(fixed), *itertools.chain(*filled)]
