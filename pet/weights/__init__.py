"""Weight files: reading those of Pet and of others, and loading them into a model."""
