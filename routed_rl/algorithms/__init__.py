"""How an agent learns: configuration, losses, the learner, and the base classes of agents."""
