"""The steps of the learning rate: as fractions, and for another length of the training."""

from yacs.config import CfgNode


def lr_steps(solver: CfgNode) -> tuple[int, ...]:
    """Return ``SOLVER.STEPS`` in iterations; a value below 1 is a fraction of ``MAX_ITER``."""
    return tuple(round(step * solver.MAX_ITER) if step < 1 else int(step) for step in solver.STEPS)


def scale_steps(solver: CfgNode, before: int) -> None:
    """Scale ``SOLVER.STEPS``, which were for ``before`` iterations, to ``MAX_ITER``.

    Steps that fall together are merged. Fractions stay as they are.
    """
    factor = solver.MAX_ITER / before
    scaled = {step if step < 1 else float(int(step * factor)) for step in solver.STEPS}
    solver.STEPS = tuple(sorted(step for step in scaled if step > 0))


def fit_steps(solver: CfgNode, before: int) -> None:
    """Scale ``SOLVER.STEPS``, which were for ``before`` iterations, if they are beyond MAX_ITER.

    Values that the rules of the keys refuse are left as they are.
    """
    lengths, most = (before, solver.MAX_ITER), 2**63
    if not all(1 <= n < most for n in lengths) or not all(0 <= n < most for n in solver.STEPS):
        return
    if any(step >= solver.MAX_ITER for step in lr_steps(solver)):
        scale_steps(solver, before)
