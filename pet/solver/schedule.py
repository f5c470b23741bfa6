"""The length of the training in epochs, and the learning rate for a batch size."""

from pet.config import CfgNode
from pet.config.schedule import scale_steps


def base_lr(cfg: CfgNode) -> float:
    """Return the learning rate after warm-up, for the batch size of ``cfg``.

    It is proportional to the batch size if ``SOLVER.REFERENCE_BATCH_SIZE`` is set. Source: Goyal et
    al. 2017, section 2.1.
    """
    reference = cfg.SOLVER.REFERENCE_BATCH_SIZE
    rate: float = cfg.SOLVER.BASE_LR
    return rate * cfg.TRAIN.BATCH_SIZE / reference if reference else rate


def set_iterations(cfg: CfgNode, images: int) -> None:
    """Set the keys counted in iterations from those counted in epochs, for ``images`` pictures.

    An epoch has as many iterations as batches that hold each picture once, rounded up. Those that
    are 0 set nothing.
    """
    solver = cfg.SOLVER
    epoch = -(-images // cfg.TRAIN.BATCH_SIZE)
    if solver.MAX_EPOCHS:
        before, solver.MAX_ITER = solver.MAX_ITER, solver.MAX_EPOCHS * epoch
        scale_steps(solver, before)
        solver.WARM_UP_ITERS = min(solver.WARM_UP_ITERS, epoch)
    if solver.SNAPSHOT_EPOCHS:
        solver.SNAPSHOT_ITERS = solver.SNAPSHOT_EPOCHS * epoch
    if cfg.TEST.EVAL_EPOCHS:
        cfg.TEST.EVAL_PERIOD = cfg.TEST.EVAL_EPOCHS * epoch
