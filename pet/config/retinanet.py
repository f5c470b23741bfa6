"""The keys of RetinaNet, which are described as those of the R-CNN family are."""

from .rules import at_least, more_than, one_of, tuple_of, within
from .section import Key, Section


def add_retinanet_keys(node: Section) -> None:
    """Add the keys of RetinaNet to ``node``, in place."""
    # With MODEL.RETINANET_ON. Its levels are those of the pyramid.
    node.RETINANET = Section()
    # 3x3 convolutions ahead of the class predictor, and as many ahead of the box predictor.
    node.RETINANET.NUM_CONVS = Key(4, at_least(0))
    # Norm behind each of these convolutions: "none" or "gn".
    node.RETINANET.NORM = Key("none", one_of("none", "gn"))
    # Score of all classes of all anchors at the start, in (0, 1). Source: section 4.1 of the paper.
    node.RETINANET.PRIOR_PROB = Key(0.01, within(0, 1, "()"))
    # Whether there is an output for label 0 as well, which no object has (torchvision). It learns
    # to find nothing; what it finds nevertheless is neither scored nor drawn.
    node.RETINANET.BACKGROUND_OUTPUT = False
    # Square root of the area of each level's smallest anchors, in pixels, finest level first.
    node.RETINANET.ANCHOR_SIZES = Key(
        (32, 64, 128, 256, 512), tuple_of(more_than(0), empty=False), says="needs positive numbers"
    )
    # Anchor sizes of a level: that of ANCHOR_SIZES times 2 ** (n / SCALES_PER_OCTAVE).
    node.RETINANET.SCALES_PER_OCTAVE = Key(3, at_least(1))
    # Height / width of the anchors.
    node.RETINANET.ASPECT_RATIOS = Key(
        (0.5, 1.0, 2.0), tuple_of(more_than(0), empty=False), says="needs positive numbers"
    )
    # Whether the sizes are cut to whole pixels (torchvision).
    node.RETINANET.ANCHOR_SIZE_CUT = False
    # As RPN.ANCHOR_ROUNDED.
    node.RETINANET.ANCHOR_ROUNDED = False
    # As RPN.ANCHOR_STEP_FROM_SIZE.
    node.RETINANET.ANCHOR_STEP_FROM_SIZE = False
    # An anchor is foreground from this IoU with a ground-truth box on.
    node.RETINANET.FG_IOU_THRESHOLD = Key(0.5, within(0, 1))
    # An anchor is background below this IoU, and ignored between the two.
    node.RETINANET.BG_IOU_THRESHOLD = Key(0.4, within(0, 1))
    # Weight of the foreground in the focal loss, in [0, 1]; the background has the rest.
    node.RETINANET.FOCAL_ALPHA = Key(0.25, within(0, 1))
    # By which power of its error an output counts in the focal loss; 0 is cross-entropy.
    node.RETINANET.FOCAL_GAMMA = Key(2.0, at_least(0))
    # Loss of the boxes: "smooth_l1" (of the deltas) or "giou" (of the boxes; Rezatofighi et al.
    # 2019; torchvision's second form).
    node.RETINANET.BOX_LOSS = Key("smooth_l1", one_of("smooth_l1", "giou"))
    # Where smooth_l1 turns linear, in units of the encoded deltas; 0 is L1.
    node.RETINANET.SMOOTH_L1_BETA = Key(0.0, at_least(0))
    # What the losses are divided by: "batch" (the foreground of the batch), "image" (that of each
    # image, and then the mean over images; torchvision) or "average" (that of the batch, averaged
    # over the last iterations; Detectron2).
    node.RETINANET.LOSS_NORMALIZER = Key("batch", one_of("batch", "image", "average"))
    # Best-scored pairs of anchor and class of each level and image that enter NMS.
    node.RETINANET.PRE_NMS_TOP_N = Key(1000, at_least(1))
    # Detections need a score above this, in [0, 1].
    node.RETINANET.SCORE_THRESH = Key(0.05, within(0, 1))
    # Whether boxes are clipped to the image before NMS (torchvision), or only behind it.
    node.RETINANET.CLIP_BEFORE_NMS = True
    # IoU above which NMS drops the lower-scored of two detections of a class.
    node.RETINANET.NMS = Key(0.5, within(0, 1))
    # Whether detections that are empty, once clipped, are dropped (not so in torchvision).
    node.RETINANET.DROP_EMPTY = True
    # Most detections of an image.
    node.RETINANET.DETECTIONS_PER_IMG = Key(100, at_least(1))
