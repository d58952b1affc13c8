"""Train an agent in an environment: python train.py --help"""

import sys

from routed_rl.cli import train, run_command

if __name__ == "__main__":
    sys.exit(run_command(train, sys.argv[1:]))
