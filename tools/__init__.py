"""The command lines of Pet, and its benchmarks."""
