"""Honest, repeatable image-classification experiments from YAML: train, sweep, compare."""

__version__ = "0.1.0"
