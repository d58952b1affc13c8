"""Train an agent in an environment: python train.py --help."""

from routed_rl.start import script

if __name__ == "__main__":
    script()
