"""Whether a world or an agent keeps its contract, point by point."""
