"""Say what a run's policies really do: python evaluate.py --help."""

from routed_rl.cli.entry import script

if __name__ == "__main__":
    script()
