"""The keys of the R-CNN family: trunk, FPN, RPN, Fast R-CNN and Mask R-CNN.

Each key is described above its default: meaning, unit, choices and source.
"""

from yacs.config import CfgNode


def add_rcnn_cfg(node: CfgNode) -> None:
    """Add the defaults of the R-CNN family to ``node``, in place."""
    node.MODEL = CfgNode()
    # Model family; "generalized_rcnn" is the only one.
    node.MODEL.TYPE = "generalized_rcnn"
    # Registered trunk: resnet{18,34,50,101,152}_1x64d (He et al. 2016), resnet18_1x32d (the
    # smallest at half width) or resnext101_32x8d (Xie et al. 2017).
    node.MODEL.CONV_BODY = "resnet50_1x64d"
    # Number of classes with the background (class 0); -1 takes it from the data sets.
    node.MODEL.NUM_CLASSES = -1
    # What label l means: "contiguous" (the l-th category of the data set, in order of category id)
    # or "category_id" (the category of id l, with labels left unused where ids are; torchvision).
    node.MODEL.CLASS_LABELS = "contiguous"
    # Whether there is a Mask R-CNN branch (He et al. 2017).
    node.MODEL.MASK_ON = False
    # Normalisation of the trunk: "freeze" (batch norm with fixed statistics and weights) or "bn"
    # (trained batch norm, for training from random weights).
    node.MODEL.BATCH_NORM = "freeze"
    # What is added to the variance in the trunk's norms. Source: PyTorch's 1e-5; the first COCO
    # models of torchvision were published with 0.
    node.MODEL.BATCH_NORM_EPS = 1e-5

    node.BACKBONE = CfgNode()
    # Stages of the trunk that are not trained: 0 none, 1 the stem, 2 stem and res2, ... 5 all.
    # Source: 2, Detectron.
    node.BACKBONE.FREEZE_AT = 2
    # Whether a bottleneck block strides in its first 1x1 convolution (MSRA's and Caffe2's weights)
    # and not in the 3x3 (torchvision's).
    node.BACKBONE.STRIDE_IN_1X1 = False

    node.FPN = CfgNode()
    # Whether a feature pyramid (Lin et al. 2017) stands on the trunk. False uses res5 alone.
    node.FPN.FPN_ON = True
    # Registered pyramid; "fpn" is the only one.
    node.FPN.BODY = "fpn"
    # Channels of every pyramid level.
    node.FPN.DIM = 256
    # Norm behind each of its convolutions: "none", "freeze" or "bn".
    node.FPN.NORM = "none"
    # An RoI of area a is pooled from level floor(4 + log2(sqrt(a) / 224 + ROI_RATIO_EPS) +
    # ROI_LEVEL_EPS), equation 1 of the paper. Source: Detectron2 adds 1e-8 to the ratio.
    node.FPN.ROI_RATIO_EPS = 1e-8
    # What is added to the level before it is rounded down. Source: torchvision adds 1e-6.
    node.FPN.ROI_LEVEL_EPS = 0.0

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
    # Whether the corners of the anchors at the origin are rounded to whole pixels (torchvision).
    node.RPN.ANCHOR_ROUNDED = False
    # Whether anchors stand the padded image's side // the map's side apart (torchvision: on P6 not
    # always 64), and not their ANCHOR_STRIDE.
    node.RPN.ANCHOR_STEP_FROM_SIZE = False
    # 3x3 convolutions ahead of the two predictors.
    node.RPN.NUM_CONVS = 1
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
    # What the losses are divided by: "batch_size" (images * BATCH_SIZE_PER_IMAGE; Detectron2) or
    # "sampled" (the anchors that were found to sample; torchvision).
    node.RPN.LOSS_NORMALIZER = "batch_size"


def _add_fast_rcnn_keys(node: CfgNode) -> None:
    node.FAST_RCNN = CfgNode()
    # Registered box head: "roi_2mlp_head" (two fully connected layers) or "roi_xconv1fc_head" (a
    # stack of 3x3 convolutions and one fully connected layer; Wu and He 2018).
    node.FAST_RCNN.ROI_BOX_HEAD = "roi_2mlp_head"
    # Width of its fully connected layers.
    node.FAST_RCNN.MLP_HEAD_DIM = 1024
    # Number of the convolutions of roi_xconv1fc_head.
    node.FAST_RCNN.NUM_STACKED_CONVS = 4
    # Their channels.
    node.FAST_RCNN.CONV_HEAD_DIM = 256
    # Norm behind each of these convolutions: "none", "freeze" or "bn".
    node.FAST_RCNN.NORM = "none"
    # How an RoI becomes a fixed grid: "ROIAlign" (He et al. 2017) or "ROIPool" (Girshick 2015).
    node.FAST_RCNN.ROI_XFORM_METHOD = "ROIAlign"
    # Whether ROIAlign takes the centre of a pixel half a pixel from its corner (Detectron2's
    # ROIAlignV2), and not for its corner, as the first ROIAlign did (torchvision's models).
    node.FAST_RCNN.ROI_XFORM_ALIGNED = True
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
    # Detections narrower or lower than this are dropped before NMS, in pixels of the network input
    # (torchvision: 0.01). Empty ones are always dropped from the results, after NMS (Detectron2).
    node.FAST_RCNN.MIN_SIZE = 0.0
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
    # Norm behind each of these convolutions: "none", "freeze" or "bn".
    node.MRCNN.NORM = "none"
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.MRCNN.ROI_XFORM_METHOD = "ROIAlign"
    # As FAST_RCNN.ROI_XFORM_ALIGNED.
    node.MRCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells.
    node.MRCNN.ROI_XFORM_RESOLUTION = (14, 14)
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.MRCNN.ROI_XFORM_SAMPLING_RATIO = 2
    # Height and width of the predicted mask: twice ROI_XFORM_RESOLUTION, by the deconvolution.
    node.MRCNN.RESOLUTION = (28, 28)
    # What a training mask holds: "cell_centre" (0 or 1, the mask at the centre of the cell) or
    # "roi_align" (0..1, averaged over the cell by unaligned ROIAlign; torchvision).
    node.MRCNN.TARGET_METHOD = "cell_centre"
    # How a predicted mask becomes pixels: "pixel_centre" (interpolated at the centre of each pixel,
    # foreground from 0.5 on; Detectron2) or "integer_box" (stretched over the box of whole pixels,
    # foreground above 0.5; Detectron and torchvision).
    node.MRCNN.PASTE_METHOD = "pixel_centre"
