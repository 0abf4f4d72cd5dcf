"""The comparison of runs: configurations, statistics and tables."""
