"""Methods, one a file: each has `Config` and `Agent`. A file dropped in here is found by name."""
