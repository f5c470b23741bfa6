"""Reading weight files of Pet and of other libraries, and loading them into a model."""
