"""Pure functions on plain tensors."""

try:
    import torchvision.ops  # noqa: F401
except (ImportError, RuntimeError) as error:  # RuntimeError: operators of another torch
    raise ImportError(
        f"torchvision does not load beside the installed torch ({error}); install a pair that "
        "belongs together, with one command: pip install --upgrade torch torchvision"
    ) from error
