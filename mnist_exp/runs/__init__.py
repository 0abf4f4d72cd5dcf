"""One run directory: names, lock, status, configuration, history, summary, evaluation."""
