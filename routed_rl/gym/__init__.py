"""Gymnasium in both directions: its environments as our worlds, our worlds as its environments."""
