"""Train an agent in an environment: python train.py --help."""

import sys

from routed_rl.cli import run_command, train

if __name__ == "__main__":
    sys.exit(run_command(train, sys.argv[1:]))
