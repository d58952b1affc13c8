"""What a world must say, who oversees it, and what can be wrapped around it."""
