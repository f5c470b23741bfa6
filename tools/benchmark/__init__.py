"""Pet beside torchvision: the same weights, the same images, in one run."""
