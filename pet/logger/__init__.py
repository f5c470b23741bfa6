"""Logging of a run: log lines, metrics.jsonl, TensorBoard, progress bars."""
