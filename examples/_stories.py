"""Stories to learn from, and Expand, Route, Ablate on them.

Cloud et al. (arXiv 2410.04332), section 4.2.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from _language import Training, Transformer, mean_loss, train
from _storyteller import FORGET, PLACES, RETAIN, Size, Stories
from torch import Tensor, nn

from routed_rl.routing import Parameters, Rule, delete, expand, mlp_branch


class Data:
    """Stories to learn from, and others to measure, repair and relearn with."""

    def __init__(self, size: Size, seed: int) -> None:
        """Tell them all."""
        self.size = size
        self.stories = stories = Stories(size, seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.training = Training(size.steps, size.batch, size.learning_rate, seed)
        topics = torch.randint(len(PLACES), (size.stories,), generator=self.generator)
        self.forget = topics == 0  # (N,)
        self.texts = stories.texts(list(PLACES)[topic] for topic in topics)  # (N, T)
        retain = [RETAIN[number % len(RETAIN)] for number in range(size.held_out)]
        self.held_out = {
            "forget": stories.texts([FORGET] * size.held_out),
            "retain": stories.texts(retain),
        }
        self.few = {
            "forget": stories.texts([FORGET] * size.few),
            "retain": stories.texts(retain[: size.few]),
        }

    def model(self) -> Transformer:
        """Make a model that knows nothing; the same for every method."""
        torch.manual_seed(self.training.seed)
        words = len(self.stories.words)
        size = self.size
        return Transformer(
            words, self.stories.length, width=size.width, layers=size.layers, heads=2
        )

    def fit(
        self,
        model: nn.Module,
        chosen: Tensor | None = None,
        *,
        rules: Callable[[Tensor], Mapping[str, Rule]] = lambda _index: {},
    ) -> None:
        """Train on the stories, or on those `chosen` (N,) bool, with some `rules` of routing."""
        texts = self.texts if chosen is None else self.texts[chosen]
        train(
            model,
            lambda index: mean_loss(model, texts[index]),
            len(texts),
            self.training,
            rules=rules,
        )

    def tune(
        self,
        model: nn.Module,
        kind: str,
        steps: int,
        after: Callable[[int], None] = lambda _steps: None,
    ) -> None:
        """Train a little on the few stories of a kind."""
        texts = self.few[kind]
        training = replace(
            self.training,
            steps=steps,
            batch=len(texts),
            learning_rate=self.size.tune_rate,
            fixed_rate=True,
        )
        train(
            model,
            lambda index: mean_loss(model, texts[index]),
            len(texts),
            training,
            after=after,
        )

    @torch.no_grad()
    def loss(self, model: nn.Module, kind: str) -> float:
        """Measure the loss on held-out stories of a kind."""
        return float(mean_loss(model, self.held_out[kind]))


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
    "parameters": Recipe(
        ("blocks.{}.mlp.base", "blocks.{}.attention", "embed", "unembed"),
        factor=-0.75,
        penalty=0.01,
    ),
}
"""Tuned on seeds that no table reports."""


def era(
    data: Data, marked: Tensor, kind: str, strength: float = 1.0
) -> tuple[Transformer, Transformer]:
    """Train with a branch that learns what is marked, then delete it.

    The marked words' gradient trains the branches, and the rest of the model by a negative factor:
    it unlearns. Words that are not marked train everything. On these, what a branch says is
    penalised, so that it keeps to the topic.

    Args:
        data: stories.
        marked: (N, T - 1) bool: at the position before which words the gradient is routed.
        kind: "activations" or "parameters".
        strength: multiplies the negative factor; 0 only stops the gradient of what is marked.

    Returns:
        The model with its branches, and without them.
    """
    recipe = RECIPES[kind]
    layers = range(data.size.branch_layers)
    names = [name.format(layer) for name in recipe.routed for layer in layers]
    model, said = _with_branches(data)

    def rules(index: Tensor) -> Mapping[str, Rule]:
        factor = torch.where(marked[index], strength * recipe.factor, 1.0)  # (N, T - 1)
        rule = Parameters(factor) if kind == "parameters" else factor
        return dict.fromkeys(names, rule)

    def loss(index: Tensor) -> Tensor:
        said.clear()
        predicted = mean_loss(model, data.texts[index])
        sizes = [output[~marked[index]].abs().mean() for output in said]
        return predicted + recipe.penalty * sum(sizes)

    train(model, loss, len(data.texts), data.training, rules=rules)
    ablated = copy.deepcopy(model)
    for layer in layers:
        delete(ablated, f"blocks.{layer}.mlp")
    return model, ablated


def _with_branches(data: Data) -> tuple[Transformer, list[Tensor]]:
    """Make a model whose first layers have a branch each.

    Returns:
        The model, and a list to which every forward adds what the branches say.
    """
    model = data.model()
    said: list[Tensor] = []

    def keep(_module: nn.Module, _args: object, output: Tensor) -> None:
        said.append(output)

    width = data.size.width
    for layer in range(data.size.branch_layers):
        branch = mlp_branch(width, data.size.units, width)
        expand(model, f"blocks.{layer}.mlp", branch).branch.register_forward_hook(keep)
    return model, said
