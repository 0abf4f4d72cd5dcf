"""Servers that tests start and stop: Slurm, Ray and MLflow."""
