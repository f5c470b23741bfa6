"""Pet (PyTorch Efficient Toolbox): a detection framework assembled from one config."""

__version__ = "0.1.0"
