"""Pages and charts of a run, a comparison, a sweep and an ensemble."""
