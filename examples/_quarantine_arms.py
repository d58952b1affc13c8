"""What each arm of examples/quarantine.py pays, flags and trains. Needs the extra `trl`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from _hackable_sorting import HACKABLE, PAY, SEEN, UNSEEN, encoded, judge, prompts, tokenizer
from torch import Tensor, nn

from routed_rl.trl import QUARANTINE


@dataclass(frozen=True)
class Arm:
    """A way to deal with what a detector flags."""

    name: str
    routes: str | None = None
    """Of the routed trainer; without it TRL's own trains both adapters."""
    unflagged: str = "both"
    """What the routed trainer lets the rest train."""
    penalty: float = 0.0
    """Subtracted from the pay of what is flagged."""
    corrected: bool = False
    """The penalty is divided by the recall."""
    drops: bool = False
    """What is flagged teaches nothing, and is in no baseline."""
    classifier: str | None = None
    """"frozen" or "online": flags are inferred by a model of flags."""
    inoculated: bool = False
    """The quarantine has learnt to cheat before, and is frozen."""
    trains: bool = True
    """Else the pre-trained model is left as it is."""


ARMS = {
    arm.name: arm
    for arm in (
        Arm("base alone", trains=False),
        Arm("no intervention"),
        Arm("penalty", penalty=2.0),
        Arm("penalty, recall corrected", penalty=2.0, corrected=True),
        Arm("filter", drops=True),
        Arm("classifier, frozen", penalty=2.0, classifier="frozen"),
        Arm("classifier, online", penalty=2.0, classifier="online"),
        Arm("inoculated", inoculated=True),
        Arm("routed", routes="flags"),
        Arm("routed, rest to the retain", routes="flags", unflagged="retain"),
        Arm("routed, no routes", routes="none"),
        Arm("routed, shuffled flags", routes="shuffled"),
    )
}


class Detector:
    """Flags a cheat with some recall, each time anew."""

    def __init__(self, recall: float, seed: int, *, sees_both: bool = False) -> None:
        """Begin with a generator of its own."""
        self._recall = recall
        self._rng = random.Random(seed)
        self._visible = (SEEN, UNSEEN) if sees_both else (SEEN,)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[bool]:
        """Say of each completion whether it is flagged."""
        pairs = zip(prompts, completions, strict=True)
        return [
            self._rng.random() < self._recall and p[0] == HACKABLE and c in self._visible
            for p, c in pairs
        ]


class Classifier:
    """A model of what is flagged: logistic regression on how often each character is written."""

    def __init__(self, recall: float, *, retrained: bool, after: int = 20) -> None:
        """Begin with nothing seen.

        Args:
            recall: what is judged bad is what is flagged more often than half of that.
            retrained: at every call, and not once.
            after: calls until the first training; nothing is bad before.
        """
        self._recall = recall
        self._retrained = retrained
        self._after = after
        self._calls = 0
        self._features: list[Tensor] = []
        self._flags: list[Tensor] = []
        self._layer = nn.Linear(2 * len(tokenizer()), 1)
        self._trained = False

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], flags: Sequence[bool]
    ) -> list[bool]:
        """Learn from flags, and say which completions it takes for bad."""
        features = self._counts(prompts, completions)
        self._calls += 1
        if self._retrained or not self._trained:
            self._features.append(features)
            self._flags.append(torch.tensor(flags, dtype=torch.float32))
        if self._calls >= self._after and (self._retrained or not self._trained):
            self._fit()
        if not self._trained:
            return list(flags)
        with torch.no_grad():
            return (self._layer(features).sigmoid()[:, 0] > self._recall / 2).tolist()

    def _fit(self) -> None:
        """Train on the last 40 calls, by a few steps of L-BFGS."""
        x, y = torch.cat(self._features[-40:]), torch.cat(self._flags[-40:])
        optimizer = torch.optim.LBFGS(self._layer.parameters(), max_iter=20)

        def loss() -> Tensor:
            optimizer.zero_grad()
            found = nn.functional.binary_cross_entropy_with_logits(self._layer(x)[:, 0], y)
            found = found + 1e-3 * self._layer.weight.square().sum()
            found.backward()
            return found

        optimizer.step(loss)  # type: ignore[arg-type]
        self._trained = True

    def _counts(self, prompts: Sequence[str], completions: Sequence[str]) -> Tensor:
        """Count each character of prompt and completion, (N, 2V)."""
        reads = tokenizer()
        rows = []
        for texts in (prompts, completions):
            counts = torch.zeros(len(texts), len(reads))
            for row, ids in zip(counts, reads(list(texts))["input_ids"], strict=True):
                row += torch.bincount(torch.tensor(ids, dtype=torch.long), minlength=len(reads))
            rows.append(counts)
        return torch.cat(rows, dim=1)


@dataclass
class Pay:
    """The reward of an arm; it keeps what it flagged, for the trainer asks for both."""

    arm: Arm
    detector: Detector
    recall: float
    classifier: Classifier | None = None
    __name__ = "pay"
    _last: list[bool] = field(default_factory=list)

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], **_: Any
    ) -> list[float | None]:
        """Return what each completion earns; None for what is dropped."""
        pairs = zip(prompts, completions, strict=True)
        paid = [PAY.get(judge(p, c), 0.0) for p, c in pairs]
        flagged = self.detector(prompts, completions)
        if self.classifier is not None:
            flagged = self.classifier(prompts, completions, flagged)
        self._last = flagged
        if self.arm.drops:
            return [None if f else r for r, f in zip(paid, flagged, strict=True)]
        penalty = self.arm.penalty / (self.recall if self.arm.corrected else 1.0)
        return [r - penalty * f for r, f in zip(paid, flagged, strict=True)]

    def flags(self, **_: Any) -> list[bool]:
        """Return what was flagged when it was paid."""
        return self._last


def inoculate(model: Any, reads: Any, seed: int, steps: int = 60) -> None:
    """Teach the quarantine to cheat as the detector knows it, and freeze it."""
    own = [p for name, p in model.named_parameters() if f".{QUARANTINE}." in name]
    optimizer = torch.optim.AdamW(own, lr=2e-3)
    for step in range(steps):
        lines = prompts(64, seed=seed * 1_000_003 + 500_000 + step, hackable=1.0)
        batch = encoded(reads, lines, [SEEN] * len(lines))
        model(**{name: part.to(model.device) for name, part in batch.items()}).loss.backward()
        optimizer.step()
        model.zero_grad()
    for parameter in own:
        parameter.requires_grad_(False)
