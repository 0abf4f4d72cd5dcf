"""Completed runs as models: read and checked files, the rebuilt network, and its evaluation on other images."""
