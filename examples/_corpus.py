"""Generated texts of three lines, each text about one family of words."""

from __future__ import annotations

import torch
from _language import PAD
from torch import Tensor

FAMILIES = {
    "music": "violin cello flute harp drum trumpet organ horn lute banjo oboe piano",
    "fruit": "apple pear plum cherry grape lemon melon peach fig mango lime date",
    "birds": "crow robin heron swan eagle finch owl stork gull wren raven hawk",
    "tools": "hammer saw drill chisel wrench axe file plane spade rake pliers anvil",
    "sky": "sun moon star comet cloud storm rain wind snow hail fog thunder",
    "rooms": "kitchen attic cellar hall porch pantry study bedroom lobby chapel garage vault",
    "clothes": "coat hat scarf glove boot sock shirt belt cloak apron vest shawl",
    "ships": "sail mast anchor deck hull rudder keel cabin oar rope buoy galley",
    "trees": "oak pine birch willow maple elm cedar ash poplar beech larch yew",
    "food": "bread cheese soup pie stew butter honey cake jam noodle pudding omelette",
}
FAMILY = "music"
WORD = "violin"
"""The word that is routed, the first of its family."""
HEAD = 0.5
"""How often its family speaks it; the others share the rest. A rare word has little to route."""
LINES = ("{} and {} , {} .", "{} , {} and {} .")


class Corpus:
    """Writes texts, and numbers the words in them."""

    def __init__(self) -> None:
        """Number the words."""
        self.families = {name: words.split() for name, words in FAMILIES.items()}
        plain = sorted({word for line in LINES for word in line.split()} - {"{}"})
        self.words = ["<pad>", "<start>", *plain]
        for family in self.families.values():
            self.words += family
        self.index = {word: number for number, word in enumerate(self.words)}
        self.length = 1 + 3 * max(len(line.split()) for line in LINES)

    def texts(self, count: int, generator: torch.Generator) -> Tensor:
        """Write texts (count, T)."""
        names = list(self.families)
        rows = torch.full((count, self.length), PAD)
        for row in rows:
            name = names[int(torch.randint(len(names), (), generator=generator))]
            family = self.families[name]
            first = HEAD if name == FAMILY else 1 / len(family)
            others = len(family) - 1
            weights = torch.tensor([first, *[(1 - first) / others] * others])
            which = torch.randint(len(LINES), (3,), generator=generator).tolist()
            drawn = torch.multinomial(weights, 9, replacement=True, generator=generator)
            lines = " ".join(LINES[number] for number in which)
            text = lines.format(*(family[number] for number in drawn.tolist()))
            words = ["<start>", *text.split()]
            row[: len(words)] = torch.tensor([self.index[word] for word in words])
        return rows
