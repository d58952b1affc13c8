"""Run `python -m routed_rl`."""

from routed_rl.start import script

if __name__ == "__main__":
    script()
