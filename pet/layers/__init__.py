"""Neural network layers with plain arguments."""
