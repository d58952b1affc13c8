"""routed_rl: scalable oversight by gradient routing."""

__version__ = "0.1.0"
