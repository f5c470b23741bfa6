"""Scores, and the result files they are computed from."""
