"""What a run writes while it trains: curves, pictures, episodes."""
