"""What came out of many runs: statistics, tables, figures."""
