"""Environments, one a file: each has `Config` and `make`. A file dropped in here is found by its name."""
