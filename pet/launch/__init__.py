"""Command lines of the tools, and the processes of a run."""
