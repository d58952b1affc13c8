"""Train an agent in an environment: python train.py --help."""

from routed_rl.cli.entry import script

if __name__ == "__main__":
    script()
