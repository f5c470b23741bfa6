"""The res5 that box branch and other branches share in a model without pyramid ("C4").

N images, R RoIs over all images, C channels of res5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pet.modeling.rcnn.fast_rcnn import FastRCNN, foreground_of
from pet.modeling.rcnn.heads.roi_res5_head import RoiRes5Head
from pet.modeling.rcnn.roi_sampling import SampledRoIs


@dataclass(frozen=True)
class SharedRes5:
    """res5 of the box branch, used by another branch in place of a pooler.

    It is not a module, so that only the box branch has the weights of res5.
    """

    box_branch: FastRCNN

    @property
    def head(self) -> RoiRes5Head:
        """The box head, which holds res5."""
        head = self.box_branch.head
        assert isinstance(head, RoiRes5Head), "MRCNN.SHARE_RES5 needs roi_res5_head"
        return head

    def __call__(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return res5 (R, C, h, w) of ``boxes``, N x (R_n, 4) xyxy in pixels of the input."""
        return self.head.maps(self.box_branch.pooler(features, boxes))

    def predict(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits and deltas of all ``rois``, and res5 (F, C, h, w) of the foreground.

        res5 is computed once for both.
        """
        maps = self(features, [per_image.boxes for per_image in rois])
        logits, deltas = self.box_branch.predict(self.head.mean(maps))
        return logits, deltas, foreground_of(maps, rois)
