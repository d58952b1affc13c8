"""Run many experiments from one file: python sweep.py --help."""

from routed_rl.cli.entry import script

if __name__ == "__main__":
    script()
