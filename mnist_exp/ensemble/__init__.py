"""Ensembles: runs that the user chose, averaged, as a run of its own."""
