"""Training, testing and prediction: the loops and the code around them."""
