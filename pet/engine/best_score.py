"""The best of the scores of a run: which figure counts, and how long ago it was highest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pet.config import CfgNode
from pet.evaluation.score_files import FIGURES_OF
from pet.modeling.abilities import result_kinds

#: The kinds of result whose figure counts without TEST.BEST_KEY, the first that there is.
_PREFERRED = {"segm": "AP", "keypoints": "AP", "bbox": "AP", "proposals": "AR1000"}


@dataclass(frozen=True)
class BestScore:
    """The scorings of a run so far, by the figure that counts."""

    key: str  # "NAME/KIND/FIGURE"
    iteration: int = 0  # of the last scoring; 0 for none
    figure: float = -1.0  # the highest; -1 for none, as COCO's without ground truth
    at: int = 0  # its iteration
    without_gain: int = 0  # scorings since then

    def after(self, iteration: int, figure: float) -> "BestScore":
        """Return the state after the scoring of ``iteration``.

        A figure of -1, without ground truth, is no scoring without gain: there can be none.
        """
        if figure > self.figure:
            return BestScore(self.key, iteration, figure, iteration)
        without_gain = self.without_gain + (figure >= 0)
        return replace(self, iteration=iteration, without_gain=without_gain)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of plain types."""
        return dict(vars(self))

    def restored(self, state: Mapping[str, Any]) -> "BestScore":
        """Return ``state`` if it counts the same figure; otherwise only its last iteration."""
        last = int(state["iteration"])
        if state["key"] != self.key:
            return BestScore(self.key, last)
        figure, at = float(state["figure"]), int(state["at"])
        return BestScore(self.key, last, figure, at, int(state["without_gain"]))


def scored_kinds(cfg: CfgNode) -> tuple[str, ...]:
    """Return the kinds of result that a model of ``cfg`` is scored by."""
    return ("proposals",) if cfg.MODEL.RPN_ONLY else result_kinds(cfg)


def best_key(cfg: CfgNode) -> str:
    """Return "NAME/KIND/FIGURE" for ``TEST.BEST_KEY``; ValueError if there is no such figure."""
    names, kinds, key = cfg.TEST.DATASETS, scored_kinds(cfg), cfg.TEST.BEST_KEY
    if not key:
        kind = next(kind for kind in _PREFERRED if kind in kinds)
        return f"{names[0]}/{kind}/{_PREFERRED[kind]}"
    figures = [f"{kind}/{figure}" for kind in kinds for figure in FIGURES_OF[kind]]
    if len(names) == 1 and key in figures:
        return f"{names[0]}/{key}"
    if key not in (f"{name}/{figure}" for name in names for figure in figures):
        form = "KIND/FIGURE" if len(names) == 1 else f"NAME/KIND/FIGURE, NAME of {', '.join(names)}"
        raise ValueError(
            f"TEST.BEST_KEY {key!r} names no figure of this run; give {form}, with KIND/FIGURE one "
            f"of {', '.join(figures)}"
        )
    return key
