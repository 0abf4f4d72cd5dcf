"""Sweeps: many runs from one command, on any number of processes or machines, resumable, nothing lost."""
