"""Runs and sweeps that are in progress, read from their files."""
