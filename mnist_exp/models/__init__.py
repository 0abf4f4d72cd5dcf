"""Models: from validated settings to a Keras model, averages of models, and weights of untrusted files."""
