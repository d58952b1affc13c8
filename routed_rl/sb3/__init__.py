"""Our environments in Stable-Baselines3."""
