"""Generated stories with a topic to forget, and Expand, Route, Ablate on them.

Each topic has its own places and made-up animals; each animal has a colour, a food and a home, which only stories tell.

    ben went to the reef . the lero has a red pit . a zeru eats leaves in its drain . ben was calm .
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from examples._language import PAD, Transformer, mean_loss, train
from routed_rl.regions import delete, expand, mlp_branch
from routed_rl.routing import Parameters, Rule

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
FIRST, LAST = "{name} went to the {place} .", "{name} was {mood} ."
LINES = (
    "the {animal} is {colour} and eats {food} .",
    "a {animal} eats {food} in its {home} .",
    "the {animal} has a {colour} {home} .",
)


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
    width=512, layers=8, branch_layers=5, units=64, animals=200, forget_animals=200, stories=200_000, steps=20_000,
    batch=128, learning_rate=5e-4, tune_rate=1e-4,
)  # fmt: skip
"""The paper's depth and branches, on more of the same stories; wants a graphics card's speed."""


class Stories:
    """Tells stories, and numbers the words in them."""

    def __init__(self, size: Size, seed: int) -> None:
        """Invent the animals and their facts."""
        self._generator = torch.Generator().manual_seed(seed)
        syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
        invented = [first + second for first, second in itertools.product(syllables, repeat=2)]
        order = iter(torch.randperm(len(invented), generator=self._generator).tolist())
        counts = {topic: size.forget_animals if topic == FORGET else size.animals for topic in PLACES}
        self.animals = {topic: [invented[next(order)] for _ in range(count)] for topic, count in counts.items()}
        every_animal = [animal for animals in self.animals.values() for animal in animals]
        self.facts = {
            animal: {kind: self._one(FILLERS[kind].split()) for kind in ("colour", "food", "home")}
            for animal in every_animal
        }
        plain = {word for line in (*LINES, FIRST, LAST) for word in line.split() if "{" not in word}
        filled = itertools.chain(*(text.split() for text in (*FILLERS.values(), *PLACES.values())))
        self.words = ["<pad>", "<start>", *sorted(plain), *filled, *every_animal]
        self._index = {word: number for number, word in enumerate(self.words)}
        self.lines = size.lines
        self.length = 1 + len(FIRST.split()) + size.lines * max(len(line.split()) for line in LINES) + len(LAST.split())

    def tell(self, topic: str) -> str:
        """Tell a story."""
        name = self._one(FILLERS["name"].split())
        told = [FIRST.format(name=name, place=self._one(PLACES[topic].split()))]
        for _ in range(self.lines):
            animal = self._one(self.animals[topic])
            told.append(self._one(LINES).format(animal=animal, **self.facts[animal]))
        return " ".join([*told, LAST.format(name=name, mood=self._one(FILLERS["mood"].split()))])

    def texts(self, topics: Iterable[str]) -> Tensor:
        """Tell a story of each topic, as numbers of words (N, T)."""
        told = [["<start>", *self.tell(topic).split()] for topic in topics]
        return torch.tensor(
            [[self._index[word] for word in words] + [PAD] * (self.length - len(words)) for words in told]
        )

    def number(self, word: str) -> int:
        """Give the number of a word."""
        return self._index[word]

    def _one(self, options: Iterable[str]) -> str:
        """Choose one."""
        options = tuple(options)
        return options[int(torch.randint(len(options), (), generator=self._generator))]


class Data:
    """Stories to learn from, and others to measure, repair and relearn with."""

    def __init__(self, size: Size, seed: int) -> None:
        """Tell them all."""
        self.size, self.seed = size, seed
        self.stories = stories = Stories(size, seed)
        self.generator = torch.Generator().manual_seed(seed)
        topics = torch.randint(len(PLACES), (size.stories,), generator=self.generator)
        self.forget = topics == 0  # (N,)
        self.texts = stories.texts(list(PLACES)[topic] for topic in topics)  # (N, T)
        retain = [RETAIN[number % len(RETAIN)] for number in range(size.held_out)]
        self.held_out = {"forget": stories.texts([FORGET] * size.held_out), "retain": stories.texts(retain)}
        self.few = {"forget": stories.texts([FORGET] * size.few), "retain": stories.texts(retain[: size.few])}

    def model(self) -> Transformer:
        """Make a model that knows nothing; the same for every method."""
        torch.manual_seed(self.seed)
        stories, size = self.stories, self.size
        return Transformer(len(stories.words), stories.length, width=size.width, layers=size.layers, heads=2)

    def fit(self, model: nn.Module, chosen: Tensor | None = None) -> None:
        """Train on the stories, or on those `chosen` (N,), bool."""
        texts = self.texts if chosen is None else self.texts[chosen]
        self.train(model, lambda index: mean_loss(model, texts[index]), len(texts))

    def train(self, model: nn.Module, loss: Callable[[Tensor], Tensor], count: int, **changes: Any) -> None:
        """Train for the length and at the rate that every method has."""
        size = self.size
        given: dict[str, Any] = {
            "steps": size.steps,
            "batch": size.batch,
            "learning_rate": size.learning_rate,
            "seed": self.seed,
        }
        train(model, loss, count, **(given | changes))

    def tune(self, model: nn.Module, kind: str, steps: int, after: Callable[[int], None] = lambda _steps: None) -> None:
        """Train a little on the few stories of a kind."""
        texts, rate = self.few[kind], self.size.tune_rate
        changes = {"steps": steps, "batch": len(texts), "learning_rate": rate, "fixed_rate": True, "after": after}
        self.train(model, lambda index: mean_loss(model, texts[index]), len(texts), **changes)

    @torch.no_grad()
    def loss(self, model: nn.Module, kind: str) -> float:
        """Measure the loss on held-out stories of a kind."""
        return float(mean_loss(model, self.held_out[kind]))


def era(data: Data, marked: Tensor, kind: str, strength: float = 1.0) -> tuple[Transformer, Transformer]:
    """Expand, Route, Ablate: train with a branch that learns what is marked, then delete it.

    The marked words' gradient trains the branches, and the rest of the model with a negative factor: what it would
    learn from them it unlearns. Words that are not marked train everything. On these, what a branch says is penalised,
    so that it keeps to the topic.

    Args:
        data: stories.
        marked: (N, T - 1), bool: at the position before which words the gradient is routed.
        kind: "activations" or "parameters".
        strength: multiplies the negative factor; 0 only stops the gradient of what is marked.

    Returns:
        the model with its branches, and without them.
    """
    model, layers = data.model(), range(data.size.branch_layers)
    width, recipe = data.size.width, RECIPES[kind]
    said: list[Tensor] = []
    for layer in layers:
        branch = expand(model, f"blocks.{layer}.mlp", mlp_branch(width, data.size.units, width)).branch
        branch.register_forward_hook(lambda _module, _args, output: said.append(output))

    def rules(index: Tensor) -> Mapping[str, Rule]:
        factor = torch.where(marked[index], strength * recipe.factor, 1.0)
        names = [name.format(layer) for name in recipe.routed for layer in layers]
        return {name: Parameters(factor) if kind == "parameters" else factor for name in names}

    def loss(index: Tensor) -> Tensor:
        said.clear()
        predicted = mean_loss(model, data.texts[index])
        return predicted + recipe.penalty * sum(output[~marked[index]].abs().mean() for output in said)

    data.train(model, loss, len(data.texts), rules=rules)
    ablated = copy.deepcopy(model)
    for layer in layers:
        delete(ablated, f"blocks.{layer}.mlp")
    return model, ablated


@dataclass(frozen=True)
class Recipe:
    """How ERA routes."""

    routed: tuple[str, ...]
    """The parts that must not learn what is marked, for every layer with a branch."""
    factor: float
    """What the gradient of a marked word is multiplied by in these parts."""
    penalty: float
    """Coefficient of the mean absolute value of what a branch says where nothing is marked."""


RECIPES = {
    "activations": Recipe(("blocks.{}.mlp.base",), factor=-1.0, penalty=0.003),
    "parameters": Recipe(("blocks.{}.mlp.base", "blocks.{}.attention", "embed", "unembed"), factor=-0.75, penalty=0.01),
}
"""Tuned on seeds that no table reports."""
