"""Data sets, one file format each."""
