"""What happened, what of it may be seen, and what is made of it: between a world and an agent."""
