"""Models: from validated settings to a Keras model, averages of models, and untrusted model files."""
