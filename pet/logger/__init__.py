"""What a run says: log lines, metrics.jsonl, TensorBoard, progress bars."""
