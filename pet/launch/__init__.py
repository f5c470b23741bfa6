"""Command lines, and the processes of a run."""
