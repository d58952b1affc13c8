"""Run `python -m routed_rl`."""

from routed_rl.cli.entry import script

if __name__ == "__main__":
    script()
