"""The keys of the R-CNN family: trunk, pyramid, RPN and the branches on RoIs.

Each key is described above its default: meaning, unit, choices and source. Behind the default
stands its rule: which other values the key takes.
"""

from .retinanet import add_retinanet_keys
from .rules import at_least, either, more_than, one_of, tuple_of, within
from .section import Key, Section

_NORMS = ("freeze", "bn", "syncbn", "gn")


def add_rcnn_cfg(node: Section) -> None:
    """Add the keys of the R-CNN family to ``node``, in place."""
    node.MODEL = Section()
    # Model family: "generalized_rcnn", or one that a file of the user's own registers.
    node.MODEL.TYPE = "generalized_rcnn"
    # Registered trunk: resnet{18,34,50,101,152}_1x64d (He et al. 2016), resnet18_1x32d (the
    # smallest at half width), resnext50_32x4d, resnext101_32x8d or resnext101_64x4d (Xie et al.
    # 2017); or "timm/<name>", a model of the package timm that has maps of stride 4, 8, 16 and 32.
    node.MODEL.CONV_BODY = "resnet50_1x64d"
    # Number of classes with the background (class 0); -1 takes it from the data sets.
    node.MODEL.NUM_CLASSES = Key(
        -1,
        either(-1, at_least(2)),
        says="counts the background, so the least is 2; -1 takes it from the data sets",
    )
    # What label l means: "contiguous" (the l-th category of the data set, in order of category id)
    # or "category_id" (the category of id l, with labels left unused where ids are; torchvision).
    node.MODEL.CLASS_LABELS = Key("contiguous", one_of("contiguous", "category_id"))
    # Whether there is a Mask R-CNN branch (He et al. 2017).
    node.MODEL.MASK_ON = False
    # Whether there is a branch for keypoints (Mask R-CNN, section 5), alone or beside the masks.
    node.MODEL.KEYPOINT_ON = False
    # More branches on RoIs, by the names that files of the user's own register, in the order in
    # which they are built and add to the detections.
    node.MODEL.ROI_BRANCHES = ()
    # Whether the box branch is a cascade (Cai and Vasconcelos 2018), of CASCADE_RCNN.
    node.MODEL.CASCADE_ON = False
    # Whether there are no RoI heads, and the proposals of the RPN are the detections, all of label
    # 1. Their score is average recall.
    node.MODEL.RPN_ONLY = False
    # Whether the box branch moves a box alike for all classes. A cascade always does.
    node.MODEL.CLS_AGNOSTIC_BBOX_REG = False
    # Whether the model is RetinaNet (Lin et al. 2017): classes and boxes straight from the anchors,
    # with no proposals and no RoI heads. Its pyramid is FPN.BODY "fpn_p6p7".
    node.MODEL.RETINANET_ON = False
    # Normalisation of the trunk: "freeze" (batch norm with fixed statistics and weights), "bn"
    # (trained batch norm, for training from random weights), "syncbn" (the same over the images of
    # all GPUs) or "gn" (group norm, Wu and He 2018).
    node.MODEL.BATCH_NORM = Key("freeze", one_of(*_NORMS))
    # What is added to the variance in the norms of a ResNet. Source: PyTorch's 1e-5; the first COCO
    # models of torchvision were published with 0. A trunk of timm brings its own.
    node.MODEL.BATCH_NORM_EPS = Key(1e-5, at_least(0))

    node.BACKBONE = Section()
    # Stages of the trunk that are not trained: 0 none, 1 the stem, 2 stem and res2, ... 5 all. In a
    # trunk of timm: all that leads to its map of stride 2 ** FREEZE_AT. Source: 2, Detectron.
    node.BACKBONE.FREEZE_AT = 2
    # Whether a bottleneck block strides in its first 1x1 convolution (MSRA's and Caffe2's weights)
    # and not in the 3x3 (torchvision's).
    node.BACKBONE.STRIDE_IN_1X1 = False
    # Last stage of the trunk: 5, or 4 where res5 is the box head ("C4" models) or not there at all.
    # A pyramid needs 5.
    node.BACKBONE.OUT_STAGE = Key(5, one_of(4, 5))
    # 2 keeps res5 at the stride of res4, 16, and dilates its convolutions instead ("DC5" models).
    node.BACKBONE.RES5_DILATION = Key(1, one_of(1, 2))
    # Whether the 3x3 convolutions of res2, res3, res4 and res5 are deformable (Dai et al. 2017);
    # for trunks of bottleneck blocks.
    node.BACKBONE.STAGE_WITH_DCN = Key(
        (False, False, False, False),
        tuple_of(length=4),
        says="needs True or False for each of res2, res3, res4 and res5",
    )
    # Which deformable convolution: 1, or 2 with modulation (Zhu et al. 2018).
    node.BACKBONE.DCN_VERSION = Key(1, one_of(1, 2))

    node.FPN = Section()
    # Whether a feature pyramid (Lin et al. 2017) stands on the trunk. False uses its last stage
    # alone.
    node.FPN.FPN_ON = True
    # Registered pyramid: "fpn" (P2 .. P6) or "fpn_p6p7" (P3 .. P7, for RetinaNet).
    node.FPN.BODY = "fpn"
    # What the P6 of fpn_p6p7 is computed from: "res5" (the paper, Detectron2, torchvision's second
    # form) or "P5" (torchvision's first form).
    node.FPN.P6_FROM = Key("res5", one_of("res5", "P5"))
    # Channels of every pyramid level.
    node.FPN.DIM = Key(256, at_least(1))
    # Norm behind each convolution of the pyramid: "none", or as MODEL.BATCH_NORM.
    node.FPN.NORM = Key("none", one_of("none", *_NORMS))
    # An RoI of area a is pooled from level floor(4 + log2(sqrt(a) / 224 + ROI_RATIO_EPS) +
    # ROI_LEVEL_EPS), equation 1 of the paper. Source: Detectron2 adds 1e-8 to the ratio.
    node.FPN.ROI_RATIO_EPS = Key(1e-8, at_least(0))
    # What is added to the level before it is rounded down. Source: torchvision adds 1e-6.
    node.FPN.ROI_LEVEL_EPS = Key(0.0, at_least(0))

    _add_rpn_keys(node)
    _add_fast_rcnn_keys(node)
    _add_mask_rcnn_keys(node)
    _add_keypoint_rcnn_keys(node)
    add_retinanet_keys(node)
    _add_cascade_rcnn_keys(node)


def _add_rpn_keys(node: Section) -> None:
    node.RPN = Section()
    # Stride of each level with anchors, in pixels of the network input, finest first. With the
    # pyramid: (4, 8, 16, 32, 64); on res5 alone: (32,), or (16,) dilated; on res4 alone: (16,).
    node.RPN.ANCHOR_STRIDE = (4, 8, 16, 32, 64)
    # Square roots of the anchor areas, in pixels: one for each level, or, on a single level, all.
    # Source: FPN, section 4.1.
    node.RPN.ANCHOR_SIZES = Key(
        (32, 64, 128, 256, 512),
        tuple_of(more_than(0)),
        says="and RPN.ASPECT_RATIOS must be positive",
    )
    # Height / width of the anchors. Source: Faster R-CNN (Ren et al. 2015).
    node.RPN.ASPECT_RATIOS = Key(
        (0.5, 1.0, 2.0), tuple_of(more_than(0), empty=False), says="must be positive"
    )
    # Whether the corners of the anchors at the origin are rounded to whole pixels (torchvision).
    node.RPN.ANCHOR_ROUNDED = False
    # Whether anchors stand the padded image's side // the map's side apart (torchvision: on P6 not
    # always 64), and not their ANCHOR_STRIDE.
    node.RPN.ANCHOR_STEP_FROM_SIZE = False
    # 3x3 convolutions ahead of the two predictors.
    node.RPN.NUM_CONVS = Key(1, at_least(1))
    # Best-scored boxes of each level and image that enter NMS, in training.
    node.RPN.PRE_NMS_TOP_N_TRAIN = Key(2000, at_least(1))
    # As RPN.PRE_NMS_TOP_N_TRAIN, in testing.
    node.RPN.PRE_NMS_TOP_N_TEST = Key(1000, at_least(1))
    # Proposals of an image, over all levels, after NMS, in training.
    node.RPN.POST_NMS_TOP_N_TRAIN = Key(1000, at_least(1))
    # As RPN.POST_NMS_TOP_N_TRAIN, in testing.
    node.RPN.POST_NMS_TOP_N_TEST = Key(1000, at_least(1))
    # IoU above which NMS drops the lower-scored of two boxes of a level.
    node.RPN.NMS_THRESH = Key(0.7, within(0, 1))
    # Proposals narrower or lower than this are dropped, in pixels of the network input; empty
    # ones always are.
    node.RPN.MIN_SIZE = Key(0.0, at_least(0))
    # An anchor is foreground from this IoU with a ground-truth box on.
    node.RPN.FG_IOU_THRESHOLD = Key(0.7, within(0, 1))
    # An anchor is background below this IoU, and ignored between the two.
    node.RPN.BG_IOU_THRESHOLD = Key(0.3, within(0, 1))
    # Anchors of an image that the loss sees.
    node.RPN.BATCH_SIZE_PER_IMAGE = Key(256, at_least(1))
    # Largest fraction of foreground among the anchors that the loss sees.
    node.RPN.POSITIVE_FRACTION = Key(0.5, within(0, 1))
    # Where the smooth L1 of the box loss turns linear, in units of the encoded deltas; 0 is L1.
    node.RPN.SMOOTH_L1_BETA = Key(0.0, at_least(0))
    # What the losses are divided by: "batch_size" (images * BATCH_SIZE_PER_IMAGE; Detectron2) or
    # "sampled" (the anchors that were found to sample; torchvision).
    node.RPN.LOSS_NORMALIZER = Key("batch_size", one_of("batch_size", "sampled"))


def _add_fast_rcnn_keys(node: Section) -> None:
    node.FAST_RCNN = Section()
    # Registered box head: "roi_2mlp_head" (two fully connected layers), "roi_xconv1fc_head" (a
    # stack of 3x3 convolutions and one fully connected layer; Wu and He 2018) or "roi_res5_head"
    # (res5 of a ResNet on RoIs of res4, which needs BACKBONE.OUT_STAGE 4; "C4" models).
    node.FAST_RCNN.ROI_BOX_HEAD = "roi_2mlp_head"
    # Width of the fully connected layers of the box head.
    node.FAST_RCNN.MLP_HEAD_DIM = Key(1024, at_least(1))
    # Number of the convolutions of roi_xconv1fc_head.
    node.FAST_RCNN.NUM_STACKED_CONVS = Key(4, at_least(0))
    # Channels of the convolutions of roi_xconv1fc_head.
    node.FAST_RCNN.CONV_HEAD_DIM = Key(256, at_least(1))
    # Norm behind each convolution of roi_xconv1fc_head: "none", or as MODEL.BATCH_NORM.
    node.FAST_RCNN.NORM = Key("none", one_of("none", *_NORMS))
    # How an RoI becomes a fixed grid: "ROIAlign" (He et al. 2017) or "ROIPool" (Girshick 2015).
    node.FAST_RCNN.ROI_XFORM_METHOD = Key("ROIAlign", one_of("ROIAlign", "ROIPool"))
    # Whether ROIAlign takes the centre of a pixel half a pixel from its corner (Detectron2's
    # ROIAlignV2), and not for its corner, as the first ROIAlign did (torchvision's models).
    node.FAST_RCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells.
    node.FAST_RCNN.ROI_XFORM_RESOLUTION = _grid((7, 7))
    # Sampling points of ROIAlign along each side of a cell; 0 takes as many as the cell has pixels.
    node.FAST_RCNN.ROI_XFORM_SAMPLING_RATIO = Key(2, at_least(0))
    # A proposal is foreground from this IoU with a ground-truth box on.
    node.FAST_RCNN.FG_IOU_THRESHOLD = Key(0.5, within(0, 1))
    # A proposal is background below this IoU, and ignored between the two.
    node.FAST_RCNN.BG_IOU_THRESHOLD = Key(0.5, within(0, 1))
    # Weights of the encoded (dx, dy, dw, dh). Source: Fast R-CNN's target standard deviations.
    node.FAST_RCNN.BBOX_REG_WEIGHTS = Key(
        (10.0, 10.0, 5.0, 5.0), tuple_of(more_than(0), length=4), says="needs four positive numbers"
    )
    # Proposals of an image that the loss sees.
    node.FAST_RCNN.BATCH_SIZE_PER_IMAGE = Key(512, at_least(1))
    # Largest fraction of foreground among the proposals that the loss sees.
    node.FAST_RCNN.POSITIVE_FRACTION = Key(0.25, within(0, 1))
    # Detections need a score above this, in [0, 1].
    node.FAST_RCNN.SCORE_THRESH = Key(0.05, within(0, 1))
    # Detections narrower or lower than this are dropped before NMS, in pixels of the network input
    # (torchvision: 0.01). Empty ones are always dropped from the results, after NMS (Detectron2).
    node.FAST_RCNN.MIN_SIZE = Key(0.0, at_least(0))
    # IoU above which NMS drops the lower-scored of two detections of a class.
    node.FAST_RCNN.NMS = Key(0.5, within(0, 1))
    # Most detections of an image.
    node.FAST_RCNN.DETECTIONS_PER_IMG = Key(100, at_least(1))
    # Where the smooth L1 of the box loss turns linear; 0 is L1.
    node.FAST_RCNN.SMOOTH_L1_BETA = Key(0.0, at_least(0))


def _add_mask_rcnn_keys(node: Section) -> None:
    node.MRCNN = Section()
    # Registered mask head; "roi_convx_head" (a stack of 3x3 convolutions) is the only one.
    node.MRCNN.ROI_MASK_HEAD = "roi_convx_head"
    # Number of the convolutions of the mask head. Source: Mask R-CNN, figure 4.
    node.MRCNN.NUM_CONVS = Key(4, at_least(0))
    # Channels of these convolutions, and of the deconvolution behind them.
    node.MRCNN.CONV_DIM = Key(256, at_least(1))
    # Whether the branch stands on res5 of the box head "roi_res5_head", and pools no RoIs of its
    # own: MRCNN.ROI_XFORM_* are not used then. Detectron's C4 models do, with NUM_CONVS 0.
    node.MRCNN.SHARE_RES5 = False
    # Norm behind each convolution of the mask head: "none", or as MODEL.BATCH_NORM.
    node.MRCNN.NORM = Key("none", one_of("none", *_NORMS))
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.MRCNN.ROI_XFORM_METHOD = Key("ROIAlign", one_of("ROIAlign", "ROIPool"))
    # As FAST_RCNN.ROI_XFORM_ALIGNED.
    node.MRCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells.
    node.MRCNN.ROI_XFORM_RESOLUTION = _grid((14, 14))
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.MRCNN.ROI_XFORM_SAMPLING_RATIO = Key(2, at_least(0))
    # Height and width of the predicted mask: twice ROI_XFORM_RESOLUTION, by the deconvolution; with
    # SHARE_RES5, twice what res5 makes of FAST_RCNN.ROI_XFORM_RESOLUTION, half of it.
    node.MRCNN.RESOLUTION = _grid((28, 28))
    # What a training mask holds: "cell_centre" (0 or 1, the mask at the centre of the cell) or
    # "roi_align" (0..1, averaged over the cell by unaligned ROIAlign; torchvision).
    node.MRCNN.TARGET_METHOD = Key("cell_centre", one_of("cell_centre", "roi_align"))
    # How a predicted mask becomes pixels: "pixel_centre" (interpolated at the centre of each pixel,
    # foreground from 0.5 on; Detectron2) or "integer_box" (stretched over the box of whole pixels,
    # foreground above 0.5; Detectron and torchvision).
    node.MRCNN.PASTE_METHOD = Key("pixel_centre", one_of("pixel_centre", "integer_box"))


def _add_keypoint_rcnn_keys(node: Section) -> None:
    node.KRCNN = Section()
    # Number of points of an object; -1 takes it from the data sets.
    node.KRCNN.NUM_KEYPOINTS = Key(-1, either(-1, at_least(1)))
    # Where in its pixel an annotated point lies, 0 to 1: 0.5 in the middle, as COCO's annotations
    # count pixels (Detectron2), or 0 at the corner, taking them as they are (torchvision). Added
    # when annotations are read, subtracted from the results.
    node.KRCNN.PIXEL_SHIFT = Key(0.5, within(0, 1))
    # Training leaves out images with fewer labelled points than this. Source: 1 in Detectron2, 10
    # in torchvision.
    node.KRCNN.MIN_KEYPOINTS_PER_IMAGE = Key(0, at_least(0))
    # Registered keypoint head; "roi_convx_head" (a stack of 3x3 convolutions) is the only one.
    node.KRCNN.ROI_KEYPOINT_HEAD = "roi_convx_head"
    # Number of the convolutions of the keypoint head. Source: Mask R-CNN, section 5.
    node.KRCNN.NUM_CONVS = Key(8, at_least(0))
    # Channels of the convolutions of the keypoint head.
    node.KRCNN.CONV_DIM = Key(512, at_least(1))
    # Norm behind each convolution of the keypoint head: "none", or as MODEL.BATCH_NORM.
    node.KRCNN.NORM = Key("none", one_of("none", *_NORMS))
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.KRCNN.ROI_XFORM_METHOD = Key("ROIAlign", one_of("ROIAlign", "ROIPool"))
    # As FAST_RCNN.ROI_XFORM_ALIGNED.
    node.KRCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells. A heatmap has four times as many along a side.
    node.KRCNN.ROI_XFORM_RESOLUTION = _grid((14, 14))
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.KRCNN.ROI_XFORM_SAMPLING_RATIO = Key(2, at_least(0))
    # What the loss is divided by: "visible" (the points that it is summed over) or "batch_size"
    # (all points of images * FAST_RCNN.BATCH_SIZE_PER_IMAGE * FAST_RCNN.POSITIVE_FRACTION RoIs).
    node.KRCNN.LOSS_NORMALIZER = Key("visible", one_of("visible", "batch_size"))
    # The third value of a predicted point, behind x and y: "probability" (how much of the heatmap
    # lies at its peak; Detectron2) or "one" (always 1; torchvision).
    node.KRCNN.SCORE_METHOD = Key("probability", one_of("probability", "one"))
    # How far annotators differ in each point, relative to the size of the object, for the score
    # (COCO's OKS): a number for each point. Source: pycocotools, for the 17 points of a person.
    node.KRCNN.SIGMAS = Key(
        (
            *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
            *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
        ),
        tuple_of(more_than(0), empty=False),
        says="must be positive",
    )


def _add_cascade_rcnn_keys(node: Section) -> None:
    # With MODEL.CASCADE_ON. Whatever is not said here comes from FAST_RCNN, the heads too.
    node.CASCADE_RCNN = Section()
    # Of each stage, in place of FAST_RCNN.FG_IOU_THRESHOLD and FAST_RCNN.BG_IOU_THRESHOLD: an RoI
    # is foreground from this IoU with a ground-truth box on, and background below it. There are as
    # many stages as numbers. Source: section 4.2 of the paper.
    node.CASCADE_RCNN.FG_IOU_THRESHOLD = Key(
        (0.5, 0.6, 0.7),
        tuple_of(within(0, 1), empty=False),
        says="needs a number in [0, 1] for each stage",
    )
    # Of each stage, in place of FAST_RCNN.BBOX_REG_WEIGHTS: that of the first, 2 and 3 times, as
    # the deltas that are left to learn shrink. Source: Detectron2.
    node.CASCADE_RCNN.BBOX_REG_WEIGHTS = Key(
        (
            (10.0, 10.0, 5.0, 5.0),
            (20.0, 20.0, 10.0, 10.0),
            (30.0, 30.0, 15.0, 15.0),
        ),
        tuple_of(tuple_of(more_than(0), length=4)),
        says="needs four positive numbers for each stage",
    )
    # Factor on the losses of each stage. Source: 1, Detectron2; MMDetection takes (1, 0.5, 0.25).
    node.CASCADE_RCNN.STAGE_WEIGHTS = Key((1.0, 1.0, 1.0), tuple_of(at_least(0)))


def _grid(default: tuple[int, int]) -> Key:
    says = "needs a height and a width, such as (14, 14)"
    return Key(default, tuple_of(at_least(1), length=2), says=says)
