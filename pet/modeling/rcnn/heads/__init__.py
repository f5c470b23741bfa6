"""RoI heads, registered by name."""

from pet.modeling.rcnn.heads import (
    roi_2mlp_head,
    roi_convx_head,
    roi_res5_head,
    roi_xconv1fc_head,
)

__all__ = ["roi_2mlp_head", "roi_convx_head", "roi_res5_head", "roi_xconv1fc_head"]
