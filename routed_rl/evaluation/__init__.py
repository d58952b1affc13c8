"""What policies really do, and how it is shown."""
