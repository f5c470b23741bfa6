"""Evaluation metrics, and the result files they are computed from."""
