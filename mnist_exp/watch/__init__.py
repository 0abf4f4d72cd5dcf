"""The command `watch`: runs and sweeps in progress, read from their files."""
