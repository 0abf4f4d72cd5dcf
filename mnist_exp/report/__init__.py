"""Reports: every page and every chart, of a run, a comparison, a sweep and an ensemble."""
