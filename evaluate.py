"""Say what a run's policies really do: python evaluate.py --help."""

import sys

from routed_rl.cli import evaluate, run_command

if __name__ == "__main__":
    sys.exit(run_command(evaluate, sys.argv[1:]))
