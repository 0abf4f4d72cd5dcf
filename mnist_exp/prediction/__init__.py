"""Predict photos, scans and screenshots: find the ink, cut it into digits, normalise them, and ask a trained model."""
