"""From batches to losses or detections."""
