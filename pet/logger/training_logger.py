"""The training log: log lines, metrics.jsonl, TensorBoard, and a progress bar."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from pet.config import CfgNode, cfg
from pet.logger.log_text import format_duration, format_stats
from pet.logger.meters import Meter, PendingValues
from pet.logger.setup import logging_rank, setup_logging
from pet.utils.comm import get_world_size, is_distributed, is_main_process
from pet.utils.files import atomic_path, naming_path

METRICS_FILE = "metrics.jsonl"
__all__ = ["METRICS_FILE", "TrainingLogger", "build_logger", "logging_rank", "setup_logging"]


class TrainingLogger:
    """Collects statistics of every iteration; writes them every ``display_iter`` and at the end.

    An iteration calls ``iter_tic``, ``data_tic``, ``data_toc``, ``update_stats``, ``log_stats``,
    ``iter_toc``, in this order. The time between two iterations, in which the loop waits for the
    loader, counts as data time of the later one. The losses stay on their device until an entry is
    due. The log shows ``median of the last display_iter iterations (average of the run)``;
    ``metrics.jsonl`` and ``tensorboard/`` get the medians. Only the main process writes.
    """

    def __init__(
        self,
        name: str,
        folder: str | Path,
        max_iter: int,
        display_iter: int = 20,
        start_iter: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Log into ``folder`` from update ``start_iter`` + 1 on, and drop later entries there.

        ``name`` of the config file appears in the log lines. ``clock`` returns seconds.
        """
        self._folder, self._name = Path(folder), name
        self._max_iter, self._display_iter = max_iter, display_iter
        self._start_iter, self._iteration, self._lr = start_iter, start_iter, math.nan
        self._clock = clock
        self._times = {"iter_time": Meter(display_iter), "data_time": Meter(display_iter)}
        self._losses: dict[str, Meter] = {}
        self._metrics: dict[str, Meter] = {}
        self._pending = PendingValues()
        self._failed: list[tuple[int, str, float]] = []
        self._memory_mib: float | None = None
        self._iter_start = self._data_start = self._waited = 0.0
        self._last_toc: float | None = None
        self._board: SummaryWriter | None = None
        self._bar: tqdm | None = None
        if is_main_process():
            cut_metrics(self._folder / METRICS_FILE, start_iter)
            self._board = SummaryWriter(self._folder / "tensorboard", purge_step=start_iter + 1)
            self._bar = tqdm(
                total=max_iter,
                initial=start_iter,
                disable=not sys.stderr.isatty(),
                dynamic_ncols=True,
            )

    def iter_tic(self) -> None:
        """Start an iteration, after its batch has arrived."""
        now = self._clock()
        self._iter_start = now if self._last_toc is None else self._last_toc
        self._waited = now - self._iter_start

    def data_tic(self) -> None:
        """Start timing the transfer of the batch to the device."""
        self._data_start = self._clock()

    def data_toc(self) -> None:
        """End timing the transfer."""
        self._times["data_time"].update(self._clock() - self._data_start + self._waited)

    def iter_toc(self) -> None:
        """End the iteration."""
        self._last_toc = self._clock()
        self._times["iter_time"].update(self._last_toc - self._iter_start)
        if self._bar is not None:
            self._bar.update()

    def skip_time(self) -> None:
        """Exclude the time since the end of the last iteration from the logged times."""
        self._last_toc = self._clock()

    def update_stats(
        self,
        outputs: dict[str, Any],
        distributed: bool | None = None,
        world_size: int | None = None,
    ) -> None:
        """Add the model's ``outputs`` of the next iteration.

        If ``distributed``, every process must call this, with the same names in ``outputs``: when
        an entry is due, the values are averaged over the ``world_size`` processes. Both arguments
        default to those of the process group.
        """
        if distributed is None:
            distributed = is_distributed()
        self._iteration += 1
        self._pending.add(self._iteration, "total_loss", outputs["total_loss"])
        for kind, meters in (("losses", self._losses), ("metrics", self._metrics)):
            for name, value in outputs[kind].items():
                self._pending.add(self._iteration, name, value)
                meters.setdefault(name, Meter(self._display_iter))
        self._losses.setdefault("total_loss", Meter(self._display_iter))
        if self._is_due():
            self._read((world_size or get_world_size()) if distributed else 1)

    def log_stats(self, iteration: int, lr: float) -> None:
        """Write the entry of ``iteration``, with base learning rate ``lr``, if one is due.

        Raises FloatingPointError if a loss since the last entry was not finite.
        """
        assert iteration == self._iteration, (iteration, self._iteration)
        self._lr = lr
        if not self._is_due():
            return
        self._raise_if(self._failed)
        if self._board is not None:
            self._write(self._board)

    def log_scores(self, iteration: int, scores: Mapping[str, float]) -> None:
        """Write ``scores`` by name as a line of their own in metrics.jsonl, and to TensorBoard.

        The names begin with "val/". Scores of the iteration at which the run was resumed replace
        those that the file has of it.
        """
        if self._board is None:
            return
        path = self._folder / METRICS_FILE
        if iteration == self._start_iter:
            _keep_lines(
                path, lambda line: not (_iteration_of(line) == iteration and "val/" in line)
            )
        self._append({"iter": iteration, **scores})
        for name, value in scores.items():
            self._board.add_scalar(name, value, iteration)

    def check_finite(self) -> None:
        """Raise FloatingPointError if a loss of this process since the last entry is not finite.

        Synchronises with the device. Call this before writing a checkpoint.
        """
        values = self._pending.stack()
        self._raise_if(self._failed + self._bad_losses(self._pending.label(values)))

    def close(self) -> None:
        """Flush TensorBoard and close the progress bar."""
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "TrainingLogger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _is_due(self) -> bool:
        return self._iteration % self._display_iter == 0 or self._iteration == self._max_iter

    def _read(self, world_size: int) -> None:
        """Move the pending values to the meters, with one device sync."""
        values = self._pending.stack()
        if world_size > 1:
            dist.all_reduce(values)
            values /= world_size
        if values.is_cuda:
            self._memory_mib = torch.cuda.max_memory_allocated(values.device) / 2**20
        labelled = self._pending.label(values)
        self._pending.clear()
        for _, name, value in labelled:
            (self._losses if name in self._losses else self._metrics)[name].update(value)
        self._failed = self._bad_losses(labelled)

    def _bad_losses(self, values: list[tuple[int, str, float]]) -> list[tuple[int, str, float]]:
        return [
            (iteration, name, value)
            for iteration, name, value in values
            if name in self._losses and not math.isfinite(value)
        ]

    def _raise_if(self, failed: list[tuple[int, str, float]]) -> None:
        """Raise FloatingPointError if ``failed`` has any (iteration, name, value)."""
        if not failed:
            return
        first = failed[0][0]
        terms = ", ".join(f"{name} is {value}" for at, name, value in failed if at == first)
        raise FloatingPointError(
            f"the training broke down at iteration {first}: {terms}; the learning rate is "
            f"{self._lr:.6f} at iteration {self._iteration}; lower SOLVER.BASE_LR, raise "
            "SOLVER.WARM_UP_ITERS or set SOLVER.CLIP_GRAD_NORM (such as 10.0)"
        )

    def _write(self, board: SummaryWriter) -> None:
        # Until the first iteration has ended, its time so far is used.
        so_far = self._clock() - self._iter_start
        times = {"iter_time": (so_far, so_far)}
        times |= {name: meter.pair for name, meter in self._times.items() if meter}
        eta = (self._max_iter - self._iteration) * times["iter_time"][1]
        losses = {name: meter.pair for name, meter in self._losses.items() if meter}
        metrics = {name: meter.pair for name, meter in self._metrics.items() if meter}
        head = (
            f"[Training][{self._name}][iter: {self._iteration}/{self._max_iter}]"
            f"[lr: {self._lr:.6f}][eta: {format_duration(eta)}]"
        )
        logging_rank(format_stats(head, times, losses, metrics))
        record = {"iter": self._iteration, "lr": self._lr}
        record |= {name: pair[0] for name, pair in (losses | metrics | times).items()}
        record["eta_seconds"] = eta
        if self._memory_mib is not None:
            record["max_memory_mib"] = self._memory_mib
        self._append(record)
        for key, value in record.items():
            if key != "iter":
                board.add_scalar(f"train/{key}", value, self._iteration)

    def _append(self, record: Mapping[str, float]) -> None:
        path = self._folder / METRICS_FILE
        size = path.stat().st_size if path.is_file() else 0
        try:
            with naming_path(path), open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError:  # the run may go on: it must not leave a part of a line
            with suppress(OSError):
                os.truncate(path, size)
            raise


def build_logger(name: str, start_iter: int = 0, cfg: CfgNode = cfg) -> TrainingLogger:
    """Return the logger of the run in CKPT; ``name`` of the config file is in the log lines."""
    return TrainingLogger(
        name,
        cfg.CKPT,
        max_iter=cfg.SOLVER.MAX_ITER,
        display_iter=cfg.DISPLAY_ITER,
        start_iter=start_iter,
    )


def cut_metrics(path: Path, last_iter: int) -> None:
    """Remove the lines of ``path`` after iteration ``last_iter``, and truncated lines."""
    _keep_lines(path, lambda line: _iteration_of(line) <= last_iter)


def _keep_lines(path: Path, is_kept: Callable[[str], bool]) -> None:
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    kept = "".join(f"{line}\n" for line in text.splitlines() if is_kept(line))
    if kept != text:
        with atomic_path(path) as temporary:
            temporary.write_text(kept, encoding="utf-8")


def _iteration_of(line: str) -> float:
    """Return the iteration of a line of metrics.jsonl, or infinity if the line is invalid."""
    try:
        return float(json.loads(line)["iter"])
    except (ValueError, KeyError, TypeError):
        return math.inf
