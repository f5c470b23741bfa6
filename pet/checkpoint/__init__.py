"""Checkpoints of Pet, and weights that come from elsewhere."""
