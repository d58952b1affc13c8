"""Many runs: sweeps, and what came out of them."""
