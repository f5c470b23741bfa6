"""The keys of the R-CNN family: trunk, pyramid, RPN, the branches on RoIs, and RetinaNet.

Each key is described above its default: meaning, unit, choices and source.
"""

from yacs.config import CfgNode


def add_rcnn_cfg(node: CfgNode) -> None:
    """Add the defaults of the R-CNN family to ``node``, in place."""
    node.MODEL = CfgNode()
    # Model family: "generalized_rcnn", or one that a file of the user's own registers.
    node.MODEL.TYPE = "generalized_rcnn"
    # Registered trunk: resnet{18,34,50,101,152}_1x64d (He et al. 2016), resnet18_1x32d (the
    # smallest at half width), resnext50_32x4d, resnext101_32x8d or resnext101_64x4d (Xie et al.
    # 2017); or "timm/<name>", a model of the package timm that has maps of stride 4, 8, 16 and 32.
    node.MODEL.CONV_BODY = "resnet50_1x64d"
    # Number of classes with the background (class 0); -1 takes it from the data sets.
    node.MODEL.NUM_CLASSES = -1
    # What label l means: "contiguous" (the l-th category of the data set, in order of category id)
    # or "category_id" (the category of id l, with labels left unused where ids are; torchvision).
    node.MODEL.CLASS_LABELS = "contiguous"
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
    node.MODEL.BATCH_NORM = "freeze"
    # What is added to the variance in the norms of a ResNet. Source: PyTorch's 1e-5; the first COCO
    # models of torchvision were published with 0. A trunk of timm brings its own.
    node.MODEL.BATCH_NORM_EPS = 1e-5

    node.BACKBONE = CfgNode()
    # Stages of the trunk that are not trained: 0 none, 1 the stem, 2 stem and res2, ... 5 all. In a
    # trunk of timm: all that leads to its map of stride 2 ** FREEZE_AT. Source: 2, Detectron.
    node.BACKBONE.FREEZE_AT = 2
    # Whether a bottleneck block strides in its first 1x1 convolution (MSRA's and Caffe2's weights)
    # and not in the 3x3 (torchvision's).
    node.BACKBONE.STRIDE_IN_1X1 = False
    # Last stage of the trunk: 5, or 4 where res5 is the box head ("C4" models) or not there at all.
    # A pyramid needs 5.
    node.BACKBONE.OUT_STAGE = 5
    # 2 keeps res5 at the stride of res4, 16, and dilates its convolutions instead ("DC5" models).
    node.BACKBONE.RES5_DILATION = 1
    # Whether the 3x3 convolutions of res2, res3, res4 and res5 are deformable (Dai et al. 2017);
    # for trunks of bottleneck blocks.
    node.BACKBONE.STAGE_WITH_DCN = (False, False, False, False)
    # Which deformable convolution: 1, or 2 with modulation (Zhu et al. 2018).
    node.BACKBONE.DCN_VERSION = 1

    node.FPN = CfgNode()
    # Whether a feature pyramid (Lin et al. 2017) stands on the trunk. False uses its last stage
    # alone.
    node.FPN.FPN_ON = True
    # Registered pyramid: "fpn" (P2 .. P6) or "fpn_p6p7" (P3 .. P7, for RetinaNet).
    node.FPN.BODY = "fpn"
    # What the P6 of fpn_p6p7 is computed from: "res5" (the paper, Detectron2, torchvision's second
    # form) or "P5" (torchvision's first form).
    node.FPN.P6_FROM = "res5"
    # Channels of every pyramid level.
    node.FPN.DIM = 256
    # Norm behind each of its convolutions: "none", or as MODEL.BATCH_NORM.
    node.FPN.NORM = "none"
    # An RoI of area a is pooled from level floor(4 + log2(sqrt(a) / 224 + ROI_RATIO_EPS) +
    # ROI_LEVEL_EPS), equation 1 of the paper. Source: Detectron2 adds 1e-8 to the ratio.
    node.FPN.ROI_RATIO_EPS = 1e-8
    # What is added to the level before it is rounded down. Source: torchvision adds 1e-6.
    node.FPN.ROI_LEVEL_EPS = 0.0

    _add_rpn_keys(node)
    _add_fast_rcnn_keys(node)
    _add_mask_rcnn_keys(node)
    _add_keypoint_rcnn_keys(node)
    _add_retinanet_keys(node)
    _add_cascade_rcnn_keys(node)


def _add_rpn_keys(node: CfgNode) -> None:
    node.RPN = CfgNode()
    # Stride of each level with anchors, in pixels of the network input, finest first. With the
    # pyramid: (4, 8, 16, 32, 64); on res5 alone: (32,), or (16,) dilated; on res4 alone: (16,).
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
    # Registered box head: "roi_2mlp_head" (two fully connected layers), "roi_xconv1fc_head" (a
    # stack of 3x3 convolutions and one fully connected layer; Wu and He 2018) or "roi_res5_head"
    # (res5 of a ResNet on RoIs of res4, which needs BACKBONE.OUT_STAGE 4; "C4" models).
    node.FAST_RCNN.ROI_BOX_HEAD = "roi_2mlp_head"
    # Width of its fully connected layers.
    node.FAST_RCNN.MLP_HEAD_DIM = 1024
    # Number of the convolutions of roi_xconv1fc_head.
    node.FAST_RCNN.NUM_STACKED_CONVS = 4
    # Their channels.
    node.FAST_RCNN.CONV_HEAD_DIM = 256
    # Norm behind each of these convolutions: "none", or as MODEL.BATCH_NORM.
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
    # Whether the branch stands on res5 of the box head "roi_res5_head", and pools no RoIs of its
    # own: MRCNN.ROI_XFORM_* are not used then. Detectron's C4 models do, with NUM_CONVS 0.
    node.MRCNN.SHARE_RES5 = False
    # Norm behind each of these convolutions: "none", or as MODEL.BATCH_NORM.
    node.MRCNN.NORM = "none"
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.MRCNN.ROI_XFORM_METHOD = "ROIAlign"
    # As FAST_RCNN.ROI_XFORM_ALIGNED.
    node.MRCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells.
    node.MRCNN.ROI_XFORM_RESOLUTION = (14, 14)
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.MRCNN.ROI_XFORM_SAMPLING_RATIO = 2
    # Height and width of the predicted mask: twice ROI_XFORM_RESOLUTION, by the deconvolution; with
    # SHARE_RES5, twice what res5 makes of FAST_RCNN.ROI_XFORM_RESOLUTION, half of it.
    node.MRCNN.RESOLUTION = (28, 28)
    # What a training mask holds: "cell_centre" (0 or 1, the mask at the centre of the cell) or
    # "roi_align" (0..1, averaged over the cell by unaligned ROIAlign; torchvision).
    node.MRCNN.TARGET_METHOD = "cell_centre"
    # How a predicted mask becomes pixels: "pixel_centre" (interpolated at the centre of each pixel,
    # foreground from 0.5 on; Detectron2) or "integer_box" (stretched over the box of whole pixels,
    # foreground above 0.5; Detectron and torchvision).
    node.MRCNN.PASTE_METHOD = "pixel_centre"


def _add_keypoint_rcnn_keys(node: CfgNode) -> None:
    node.KRCNN = CfgNode()
    # Number of points of an object; -1 takes it from the data sets.
    node.KRCNN.NUM_KEYPOINTS = -1
    # Where in its pixel an annotated point lies, 0 to 1: 0.5 in the middle, as COCO's annotations
    # count pixels (Detectron2), or 0 at the corner, taking them as they are (torchvision). Added
    # when annotations are read, subtracted from the results.
    node.KRCNN.PIXEL_SHIFT = 0.5
    # Training leaves out images with fewer labelled points than this. Source: 1 in Detectron2, 10
    # in torchvision.
    node.KRCNN.MIN_KEYPOINTS_PER_IMAGE = 0
    # Registered keypoint head; "roi_convx_head" (a stack of 3x3 convolutions) is the only one.
    node.KRCNN.ROI_KEYPOINT_HEAD = "roi_convx_head"
    # Number of those convolutions. Source: Mask R-CNN, section 5.
    node.KRCNN.NUM_CONVS = 8
    # Their channels.
    node.KRCNN.CONV_DIM = 512
    # As MRCNN.NORM.
    node.KRCNN.NORM = "none"
    # As FAST_RCNN.ROI_XFORM_METHOD.
    node.KRCNN.ROI_XFORM_METHOD = "ROIAlign"
    # As FAST_RCNN.ROI_XFORM_ALIGNED.
    node.KRCNN.ROI_XFORM_ALIGNED = True
    # Height and width of the pooled grid, in cells. A heatmap has four times as many along a side.
    node.KRCNN.ROI_XFORM_RESOLUTION = (14, 14)
    # As FAST_RCNN.ROI_XFORM_SAMPLING_RATIO.
    node.KRCNN.ROI_XFORM_SAMPLING_RATIO = 2
    # What the loss is divided by: "visible" (the points that it is summed over) or "batch_size"
    # (all points of images * FAST_RCNN.BATCH_SIZE_PER_IMAGE * FAST_RCNN.POSITIVE_FRACTION RoIs).
    node.KRCNN.LOSS_NORMALIZER = "visible"
    # The third value of a predicted point, behind x and y: "probability" (how much of the heatmap
    # lies at its peak; Detectron2) or "one" (always 1; torchvision).
    node.KRCNN.SCORE_METHOD = "probability"
    # How far annotators differ in each point, relative to the size of the object, for the score
    # (COCO's OKS): a number for each point. Source: pycocotools, for the 17 points of a person.
    node.KRCNN.SIGMAS = (
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    )


def _add_cascade_rcnn_keys(node: CfgNode) -> None:
    # With MODEL.CASCADE_ON. Whatever is not said here comes from FAST_RCNN, the heads too.
    node.CASCADE_RCNN = CfgNode()
    # Of each stage, in place of FAST_RCNN.FG_IOU_THRESHOLD and FAST_RCNN.BG_IOU_THRESHOLD: an RoI
    # is foreground from this IoU with a ground-truth box on, and background below it. There are as
    # many stages as numbers. Source: section 4.2 of the paper.
    node.CASCADE_RCNN.FG_IOU_THRESHOLD = (0.5, 0.6, 0.7)
    # Of each stage, in place of FAST_RCNN.BBOX_REG_WEIGHTS: that of the first, 2 and 3 times, as
    # the deltas that are left to learn shrink. Source: Detectron2.
    node.CASCADE_RCNN.BBOX_REG_WEIGHTS = (
        (10.0, 10.0, 5.0, 5.0),
        (20.0, 20.0, 10.0, 10.0),
        (30.0, 30.0, 15.0, 15.0),
    )
    # Factor on the losses of each stage. Source: 1, Detectron2; MMDetection takes (1, 0.5, 0.25).
    node.CASCADE_RCNN.STAGE_WEIGHTS = (1.0, 1.0, 1.0)


def _add_retinanet_keys(node: CfgNode) -> None:
    # With MODEL.RETINANET_ON. Its levels are those of the pyramid.
    node.RETINANET = CfgNode()
    # 3x3 convolutions ahead of the class predictor, and as many ahead of the box predictor.
    node.RETINANET.NUM_CONVS = 4
    # Norm behind each of them: "none" or "gn".
    node.RETINANET.NORM = "none"
    # Score of all classes of all anchors at the start, in (0, 1). Source: section 4.1 of the paper.
    node.RETINANET.PRIOR_PROB = 0.01
    # Whether there is an output for label 0 as well, which no object has (torchvision). It learns
    # to find nothing; what it finds nevertheless is neither scored nor drawn.
    node.RETINANET.BACKGROUND_OUTPUT = False
    # Square root of the area of each level's smallest anchors, in pixels, finest level first.
    node.RETINANET.ANCHOR_SIZES = (32, 64, 128, 256, 512)
    # Anchor sizes of a level: that of ANCHOR_SIZES times 2 ** (n / SCALES_PER_OCTAVE).
    node.RETINANET.SCALES_PER_OCTAVE = 3
    # Height / width of the anchors.
    node.RETINANET.ASPECT_RATIOS = (0.5, 1.0, 2.0)
    # Whether the sizes are cut to whole pixels (torchvision).
    node.RETINANET.ANCHOR_SIZE_CUT = False
    # As RPN.ANCHOR_ROUNDED.
    node.RETINANET.ANCHOR_ROUNDED = False
    # As RPN.ANCHOR_STEP_FROM_SIZE.
    node.RETINANET.ANCHOR_STEP_FROM_SIZE = False
    # An anchor is foreground from this IoU with a ground-truth box on, ...
    node.RETINANET.FG_IOU_THRESHOLD = 0.5
    # ... background below this one, and ignored between the two.
    node.RETINANET.BG_IOU_THRESHOLD = 0.4
    # Weight of the foreground in the focal loss, in [0, 1]; the background has the rest.
    node.RETINANET.FOCAL_ALPHA = 0.25
    # By which power of its error an output counts in the focal loss; 0 is cross-entropy.
    node.RETINANET.FOCAL_GAMMA = 2.0
    # Loss of the boxes: "smooth_l1" (of the deltas) or "giou" (of the boxes; Rezatofighi et al.
    # 2019; torchvision's second form).
    node.RETINANET.BOX_LOSS = "smooth_l1"
    # Where smooth_l1 turns linear, in units of the encoded deltas; 0 is L1.
    node.RETINANET.SMOOTH_L1_BETA = 0.0
    # What the losses are divided by: "batch" (the foreground of the batch), "image" (that of each
    # image, and then the mean over images; torchvision) or "average" (that of the batch, averaged
    # over the last iterations; Detectron2).
    node.RETINANET.LOSS_NORMALIZER = "batch"
    # Best-scored pairs of anchor and class of each level and image that enter NMS.
    node.RETINANET.PRE_NMS_TOP_N = 1000
    # Detections need a score above this, in [0, 1].
    node.RETINANET.SCORE_THRESH = 0.05
    # Whether boxes are clipped to the image before NMS (torchvision), or only behind it.
    node.RETINANET.CLIP_BEFORE_NMS = True
    # IoU above which NMS drops the lower-scored of two detections of a class.
    node.RETINANET.NMS = 0.5
    # Whether detections that are empty, once clipped, are dropped (not so in torchvision).
    node.RETINANET.DROP_EMPTY = True
    # Most detections of an image.
    node.RETINANET.DETECTIONS_PER_IMG = 100
