"""What happens to an image and its annotations before the network."""
