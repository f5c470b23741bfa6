"""The pictures of the tutorials, drawn by Pet itself: ``python -m docs.pictures``."""
