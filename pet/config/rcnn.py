"""The keys of the R-CNN family: trunk, FPN, RPN, Fast R-CNN and Mask R-CNN.

Each key is described above its default: meaning, unit, choices and source.
"""

from yacs.config import CfgNode


def add_rcnn_cfg(node: CfgNode) -> None:
    """Add the defaults of the R-CNN family to ``node``, in place."""
    node.MODEL = CfgNode()
    # Model family; "generalized_rcnn" is the only one.
    node.MODEL.TYPE = "generalized_rcnn"
    # Registered trunk: resnet{18,34,50,101,152}_1x64d (He et al. 2016; stride in the 3x3), or
    # resnet18_1x32d, the smallest at half width.
    node.MODEL.CONV_BODY = "resnet50_1x64d"
    # Number of classes with the background (class 0); -1 takes it from the data sets.
    node.MODEL.NUM_CLASSES = -1
    # Whether there is a Mask R-CNN branch (He et al. 2017).
    node.MODEL.MASK_ON = False
    # Normalisation of the trunk: "freeze" (batch norm with fixed statistics and weights) or "bn"
    # (trained batch norm, for training from random weights).
    node.MODEL.BATCH_NORM = "freeze"

    node.BACKBONE = CfgNode()
    # Stages of the trunk that are not trained: 0 none, 1 the stem, 2 stem and res2, ... 5 all.
    # Source: 2, Detectron.
    node.BACKBONE.FREEZE_AT = 2

    node.FPN = CfgNode()
    # Whether a feature pyramid (Lin et al. 2017) stands on the trunk. False uses res5 alone.
    node.FPN.FPN_ON = True
    # Registered pyramid; "fpn" is the only one.
    node.FPN.BODY = "fpn"
    # Channels of every pyramid level.
    node.FPN.DIM = 256

    _add_rpn_keys(node)
    _add_fast_rcnn_keys(node)
    _add_mask_rcnn_keys(node)


def _add_rpn_keys(node: CfgNode) -> None:
    node.RPN = CfgNode()
    # Stride of each level with anchors, in pixels of the network input, finest first. With the
    # pyramid: (4, 8, 16, 32, 64); on res5 alone: (32,).
    node.RPN.ANCHOR_STRIDE = (4, 8, 16, 32, 64)
    # Square roots of the anchor areas, in pixels: one for each level, or, on a single level, all.
    # Source: FPN, section 4.1.
    node.RPN.ANCHOR_SIZES = (32, 64, 128, 256, 512)
    # Height / width of the anchors. Source: Faster R-CNN (Ren et al. 2015).
    node.RPN.ASPECT_RATIOS = (0.5, 1.0, 2.0)
    # Best-scored boxes of each level and image that enter NMS, in training.
    node.RPN.PRE_NMS_TOP_N_TRAIN = 2000
    # The same in testing.
    node.RPN.PRE_NMS_TOP_N_TEST = 1000
    # Proposals of an image, over all levels, after NMS, in training.
    node.RPN.POST_NMS_TOP_N_TRAIN = 1000
    # The same in testing.
    node.RPN.POST_NMS_TOP_N_TEST = 1000
    # IoU above which NMS drops the lower-scored of two boxes of a level.
    node.RPN.NMS_THRESH = 0.7
    # Proposals narrower or lower than this are dropped, in pixels of the network input; empty
    # ones always are.
    node.RPN.MIN_SIZE = 0.0
    # An anchor is foreground from this IoU with a ground-truth box on, ...
    node.RPN.FG_IOU_THRESHOLD = 0.7
    # ... background below this one, and ignored between the two.
    node.RPN.BG_IOU_THRESHOLD = 0.3
    # Anchors of an image that the loss sees.
    node.RPN.BATCH_SIZE_PER_IMAGE = 256
    # Largest fraction of foreground among them.
    node.RPN.POSITIVE_FRACTION = 0.5
    # Where the smooth L1 of the box loss turns linear, in units of the encoded deltas; 0 is L1.
    node.RPN.SMOOTH_L1_BETA = 0.0


def _add_fast_rcnn_keys(node: CfgNode) -> None:
    node.FAST_RCNN = CfgNode()
    # Registered box head; "roi_2mlp_head" (two fully connected layers) is the only one.
    node.FAST_RCNN.ROI_BOX_HEAD = "roi_2mlp_head"
    # Width of its two fully connected layers.
    node.FAST_RCNN.MLP_HEAD_DIM = 1024
    # How an RoI becomes a fixed grid: "ROIAlign" (He et al. 2017, half-pixel correct) or "ROIPool"
    # (Girshick 2015).
    node.FAST_RCNN.ROI_XFORM_METHOD = "ROIAlign"
    # Height and width of that grid, in cells.
    node.FAST_RCNN.ROI_XFORM_RESOLUTION = (7, 7)
    # Sampling points of ROIAlign along each side of a cell; 0 takes as many as the cell has pixels.
    node.FAST_RCNN.ROI_XFORM_SAMPLING_RATIO = 2
    # A proposal is foreground from this IoU with a ground-truth box on, ...
    node.FAST_RCNN.FG_IOU_THRESHOLD = 0.5
    # ... background below this one, and ignored between the two.
    node.FAST_RCNN.BG_IOU_THRESHOLD = 0.5
    # Weights of the encoded (dx, dy, dw, dh). Source: Fast R-CNN's target standard deviations.
    node.FAST_RCNN.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
    # Proposals of an image that the loss sees.
    node.FAST_RCNN.BATCH_SIZE_PER_IMAGE = 512
    # Largest fraction of foreground among them.
    node.FAST_RCNN.POSITIVE_FRACTION = 0.25
    # Detections need a score above this, in [0, 1].
    node.FAST_RCNN.SCORE_THRESH = 0.05
    # IoU above which NMS drops the lower-scored of two detections of a class.
    node.FAST_RCNN.NMS = 0.5
    # Most detections of an image.
    node.FAST_RCNN.DETECTIONS_PER_IMG = 100
    # Where the smooth L1 of the box loss turns linear; 0 is L1.
    node.FAST_RCNN.SMOOTH_L1_BETA = 0.0


def _add_mask_rcnn_keys(node: CfgNode) -> None:
    node.MRCNN = CfgNode()
    # Registered mask head; "roi_convx_head" (a stack of 3x3 convolutions) is the only one.
    node.MRCNN.ROI_MASK_HEAD = "roi_convx_head"
    # Number of those convolutions. Source: Mask R-CNN, figure 4.
    node.MRCNN.NUM_CONVS = 4
    # Their channels, and those of the deconvolution behind them.
    node.MRCNN.CONV_DIM = 256
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.MRCNN.ROI_XFORM_METHOD = "ROIAlign"
    # Height and width of the pooled grid, in cells.
    node.MRCNN.ROI_XFORM_RESOLUTION = (14, 14)
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.MRCNN.ROI_XFORM_SAMPLING_RATIO = 2
    # Height and width of the predicted mask: twice ROI_XFORM_RESOLUTION, by the deconvolution.
    node.MRCNN.RESOLUTION = (28, 28)
