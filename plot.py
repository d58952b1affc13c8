"""Draw figures and tables from a folder of runs: python plot.py --help."""

from routed_rl.cli.entry import script

if __name__ == "__main__":
    script()
