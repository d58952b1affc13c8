"""A board drawn in letters: its cells, where each move leads, and how it is laid out as channels.

"#" is a wall, "." a free cell, "@" the cell where the agent starts. What the other letters mean is
for the world to say. Cells are counted row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .grid import neighbours

WALL = "#"
FREE = "."
AGENT = "@"


class Board:
    """A board whose walls and things stay where they are."""

    def __init__(self, drawing: str, device: torch.device) -> None:
        """Read a drawing, a line for each row."""
        lines = drawing.split()
        self.rows = len(lines)
        self.columns = len(lines[0])
        letters = "".join(lines)
        assert len(letters) == self.rows * self.columns, "every row must be as long"
        self.start = letters.index(AGENT)
        self.letters = letters.replace(AGENT, FREE)  # what is there without the agent
        free = [cell for cell, letter in enumerate(letters) if letter != WALL]
        self.free = torch.tensor(free, device=device)  # (F,) int64
        # (cells, A) int64, where each move leads; whoever walks into a wall stays
        self.neighbour = neighbours(self.rows, self.columns, set(free)).to(device)

    def where(self, letters: str) -> Tensor:
        """Say which cells have one of some letters, (cells,) bool."""
        found = [letter in letters for letter in self.letters]
        return torch.tensor(found, device=self.free.device)

    def at(self, cell: Tensor) -> Tensor:
        """Mark one cell in each of n boards: cells (n,) to marks (n, cells) bool."""
        return cell[:, None] == torch.arange(len(self.letters), device=cell.device)

    def frames(self, *channels: Tensor) -> Tensor:
        """Lay out n boards.

        Args:
            channels: marks, each (n, cells) bool, or (cells,) where all boards have the same.

        Returns:
            (n, C, H, W) float.
        """
        layers = torch.broadcast_tensors(*channels)
        return torch.stack(layers, dim=1).float().unflatten(2, (self.rows, self.columns))
