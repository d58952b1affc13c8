"""Environments, one a file with `Config` and `make`. A file put in here is found by its name.

What they are made of lies in `_parts`.
"""
