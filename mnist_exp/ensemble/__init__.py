"""Ensembles: the averaged probabilities of chosen runs, evaluated as a run."""
