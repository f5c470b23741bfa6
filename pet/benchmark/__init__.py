"""Pet beside torchvision, on the same weights and images, in one run."""
