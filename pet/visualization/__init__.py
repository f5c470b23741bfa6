"""Drawing of detections, ground truth and training curves."""
