"""Exports: the network of a completed run as a file for another runtime, checked there; and its model card."""
