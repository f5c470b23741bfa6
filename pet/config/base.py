"""The keys that all model families share: device, data, training and testing.

The comment above each key gives meaning, unit, choices and, if the default is not Pet's choice, its
source. The rule of the key follows its default: it tells which other values the key takes.
"""

from .rules import at_least, more_than, one_of, tuple_of, within
from .section import Key, Section
from .transforms import add_transform_keys

#: The fields of one ``DATASETS.<name>`` block and their defaults.
DATASET_TEMPLATE = Section()
# File format of the annotations: "coco", "voc", "yolo", "labelme", "lvis" or "instance_png", or one
# that a file of yours registers.
DATASET_TEMPLATE.TYPE = "coco"
# Folder of the images. A relative path is tried from the working directory, then under DATA_DIR.
DATASET_TEMPLATE.IMAGES = ""
# Annotation file or, if the type takes one, a folder; found like IMAGES.
DATASET_TEMPLATE.ANNOTATIONS = ""
# Names of the classes, in order of the labels 1, 2 ... Data sets with equal CLASSES have equal
# labels, even if one lacks some of the classes. A category of another name in the annotations is an
# error. Empty: classes and order are taken from the annotations.
DATASET_TEMPLATE.CLASSES = ()
# Use only the first so many images in order of image id; 0 uses all.
DATASET_TEMPLATE.MAX_IMAGES = Key(0, at_least(0))


def base_cfg() -> Section:
    """Return a new section with the keys that do not depend on the model family."""
    node = Section()
    # Device of the model: "auto" (CUDA if there is one, else CPU), "cpu", "cuda" or "cuda:N".
    node.DEVICE = "auto"
    # Output folder. Empty: derived from the path of the YAML, cfgs/a/b.yaml -> ckpts/a/b.
    node.CKPT = ""
    # Folder of a data set of your own, in any format that Pet reads. Its parts are the data sets
    # data_train, data_val and data_test; TRAIN.DATASETS and TEST.DATASETS become the first and the
    # second unless they name other parts; naming further data sets beside or after it is an error.
    # Empty: the data sets that the config names.
    node.DATA = ""
    # Folder in which data sets are searched, and the shapes are drawn.
    node.DATA_DIR = "data"
    # Iterations between two log lines.
    node.DISPLAY_ITER = Key(20, at_least(1))
    # Seed of initialisation, sampling and augmentation. Equal seeds give equal runs.
    node.SEED = Key(0, at_least(0))

    _add_data_keys(node)
    _add_solver_keys(node)
    _add_train_keys(node)
    _add_test_keys(node)

    node.VIS = Section()
    # Whether test_net.py writes pictures of its detections, into CKPT/vis.
    node.VIS.ENABLED = False
    # Least score of a detection that is drawn, in [0, 1].
    node.VIS.VIS_TH = Key(0.5, within(0, 1))
    # Most pictures written for a data set, in order of image id; 0 draws every image.
    node.VIS.MAX_IMAGES = Key(50, at_least(0))
    return node


def _add_data_keys(node: Section) -> None:
    # Data sets of your own: DATASETS.<name>.{TYPE,IMAGES,ANNOTATIONS,CLASSES,MAX_IMAGES};
    # see DATASET_TEMPLATE. The name can then be used in TRAIN.DATASETS and TEST.DATASETS.
    node.DATASETS = Section(new_allowed=True)

    node.INPUT = Section()
    # How the EXIF orientation of a picture file is used: "auto" (turned upright, unless the width
    # and height that the data set declares fit only the pixels as stored), "upright" (always
    # turned) or "stored" (never).
    node.INPUT.ORIENTATION = Key("auto", one_of("auto", "upright", "stored"))
    # Most pixels of a picture file. A larger one is refused before it is decoded; 0 for no limit.
    node.INPUT.MAX_PIXELS = Key(250_000_000, at_least(0))
    # Bits in use in pictures with 16 bits per channel, 8 to 16: 12 for many cameras and
    # microscopes. The values are divided by 2 ** (BIT_DEPTH - 8).
    node.INPUT.BIT_DEPTH = Key(16, within(8, 16), says="must lie in 8..16, the bits in use of 16")
    # Channel order the network expects, "RGB" or "BGR". Source: torchvision's ImageNet weights.
    node.INPUT.CHANNEL_ORDER = Key("RGB", one_of("RGB", "BGR"))
    # Mean of each channel, in CHANNEL_ORDER, on the 0-255 scale. Source: torchvision's ImageNet.
    node.INPUT.PIXEL_MEAN = Key(
        (123.675, 116.28, 103.53),
        tuple_of(length=3),
        says="and INPUT.PIXEL_STD need three numbers each",
    )
    # Standard deviation of each channel, as INPUT.PIXEL_MEAN.
    node.INPUT.PIXEL_STD = Key((58.395, 57.12, 57.375), tuple_of(more_than(0), length=3))
    # How images are resized: "opencv" (by area when they shrink, else bilinear), "pil" (Pillow's
    # antialiased bilinear; Detectron2) or "float" (bilinear, not antialiased, without rounding of
    # pixel values, on the device and not in the loader; torchvision).
    node.INPUT.INTERPOLATION = Key("opencv", one_of("opencv", "pil", "float"))
    # Rounding of the sides of a resized image to whole pixels: "half_up" (Detectron2) or "floor"
    # (torchvision).
    node.INPUT.RESIZE_ROUNDING = Key("half_up", one_of("half_up", "floor"))
    # Batches are padded so that height and width are multiples of this, in pixels. Source: 32, the
    # coarsest stride of the trunk in FPN.
    node.INPUT.SIZE_DIVISIBILITY = Key(32, at_least(1))

    node.DATALOADER = Section()
    # Order of the training images: "DistributedSampler" (each image once an epoch, shuffled) or
    # "RepeatFactorTrainingSampler" (images of rare classes are repeated; Gupta et al., LVIS,
    # 2019, section 5.3).
    node.DATALOADER.SAMPLER_TRAIN = Key(
        "DistributedSampler", one_of("DistributedSampler", "RepeatFactorTrainingSampler")
    )
    # The repeat factor sampler oversamples classes in a smaller fraction of the images than this.
    node.DATALOADER.REPEAT_THRESHOLD = Key(0.001, within(0, 1))
    # Whether a process's batch has only upright or only wide images, which saves padding.
    node.DATALOADER.ASPECT_RATIO_GROUPING = True
    # Whether training leaves out images without usable annotations. False trains on them as
    # background.
    node.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True


def _add_solver_keys(node: Section) -> None:
    node.SOLVER = Section()
    # "SGD" or "ADAMW".
    node.SOLVER.OPTIMIZER = Key("SGD", one_of("SGD", "ADAMW"))
    # Learning rate after warm-up, for the whole batch of TRAIN.BATCH_SIZE images. Source: 0.02
    # for 16 images, Mask R-CNN (He et al. 2017) as trained by Detectron.
    node.SOLVER.BASE_LR = Key(0.02, more_than(0))
    # Batch size that BASE_LR is for: the rate used is BASE_LR * TRAIN.BATCH_SIZE divided by this.
    # 0 uses BASE_LR for every batch size. Source: Goyal et al. 2017, section 2.1.
    node.SOLVER.REFERENCE_BATCH_SIZE = Key(0, at_least(0))
    # Number of optimizer steps. If it is changed without STEPS, and these are then beyond it, they
    # are scaled with it. If it is changed without MAX_EPOCHS, that becomes 0.
    node.SOLVER.MAX_ITER = Key(90000, at_least(1))
    # Number of passes over the training images, which sets MAX_ITER, scales STEPS, and shortens the
    # warm-up to one pass if it is longer; 0: MAX_ITER iterations.
    node.SOLVER.MAX_EPOCHS = Key(0, at_least(0))
    # Momentum of SGD (unused by ADAMW).
    node.SOLVER.MOMENTUM = Key(0.9, within(0, 1))
    # Weight decay of weights. Source: Detectron.
    node.SOLVER.WEIGHT_DECAY = Key(0.0001, at_least(0))
    # Weight decay of trained normalisation weights and biases. Source: Detectron.
    node.SOLVER.WEIGHT_DECAY_NORM = Key(0.0, at_least(0))
    # Weight decay of the other biases.
    node.SOLVER.WEIGHT_DECAY_BIAS = Key(0.0001, at_least(0))
    # Learning rate of the biases (not of normalisation) relative to BASE_LR. Detectron used 2.
    node.SOLVER.BIAS_LR_FACTOR = Key(1.0, at_least(0))
    # Whether trunk, pyramid and the head on all anchors are compiled (torch.compile). This takes a
    # minute or more in the first steps of every run, and needs a C++ compiler.
    node.SOLVER.COMPILE = False
    # Largest total L2 norm of the gradients, which are scaled down to it; 0 for no limit.
    node.SOLVER.CLIP_GRAD_NORM = Key(0.0, at_least(0))
    # Iterations of the warm-up of the learning rate; 0 for none.
    node.SOLVER.WARM_UP_ITERS = Key(500, at_least(0))
    # Factor on the learning rate at iteration 0 of the warm-up. Source: Goyal et al. 2017, as in
    # Detectron.
    node.SOLVER.WARM_UP_FACTOR = Key(
        1.0 / 3.0, within(0, 1, "(]"), only_with="SOLVER.WARM_UP_ITERS"
    )
    # "LINEAR" (the factor rises to 1) or "CONSTANT" (the factor stays, then jumps to 1).
    node.SOLVER.WARM_UP_METHOD = Key("LINEAR", one_of("LINEAR", "CONSTANT"))
    # "STEP" (times GAMMA at each of STEPS), "COSINE" or "POLY" (both fall to 0 at MAX_ITER).
    node.SOLVER.LR_POLICY = Key("STEP", one_of("STEP", "COSINE", "POLY"))
    # Iterations at which the STEP policy decays, in increasing order. Values below 1 are fractions
    # of MAX_ITER.
    node.SOLVER.STEPS = Key((60000.0, 80000.0), tuple_of(at_least(0), rising=True))
    # Factor of each decay of the STEP policy.
    node.SOLVER.GAMMA = Key(0.1, at_least(0))
    # Exponent of the POLY policy. Source: DeepLab (Chen et al. 2017), 0.9.
    node.SOLVER.LR_POW = Key(0.9, at_least(0))
    # Scorings (TEST.EVAL_PERIOD) in a row without a higher figure of TEST.BEST_KEY after which the
    # run ends; 0 for never.
    node.SOLVER.EARLY_STOP = Key(0, at_least(0))
    # Iterations between two checkpoints; 0 writes only the last one. If it is changed without
    # SNAPSHOT_EPOCHS, that becomes 0.
    node.SOLVER.SNAPSHOT_ITERS = Key(10000, at_least(0))
    # Epochs between two checkpoints; 0: SNAPSHOT_ITERS iterations.
    node.SOLVER.SNAPSHOT_EPOCHS = Key(0, at_least(0))


def _add_train_keys(node: Section) -> None:
    node.TRAIN = Section()
    # Weights to start from: ImageNet weights of the trunk (torchvision's, Detectron2's, Caffe2's),
    # a published detector, or a checkpoint of Pet. Empty: random weights.
    node.TRAIN.WEIGHTS = ""
    # Whether layers for other classes or keypoints than those of TRAIN.WEIGHTS keep their random
    # initial weights, with a report: weights of another shape and, if the file has other names of
    # classes or keypoints than the data, the layers that predict them. With False, another shape is
    # an error, and layers for other names are loaded, with a warning.
    node.TRAIN.REINIT_MISMATCHED = False
    # Names of the data sets to train on, which are joined.
    node.TRAIN.DATASETS = ()
    # Names of the transforms of each training image, in order: "resize" (TRAIN.SCALES,
    # TRAIN.MAX_SIZE), "random_horizontal_flip" (TRAIN.FLIP_PROB), "random_vertical_flip",
    # "random_rotate90", "random_crop", "color_jitter", "large_scale_jitter" (in the place of
    # "resize"), "copy_paste", or ones that a file of yours registers. See docs/transforms.md.
    node.TRAIN.TRANSFORMS = ("resize", "random_horizontal_flip")
    # Lengths of the shorter image side, in pixels; one is drawn for each image.
    node.TRAIN.SCALES = Key(
        (800,), tuple_of(at_least(1), empty=False), says="needs one or more positive sizes"
    )
    # Longest allowed image side, in pixels.
    node.TRAIN.MAX_SIZE = Key(1333, at_least(1))
    # Probability of a horizontal flip, in [0, 1].
    node.TRAIN.FLIP_PROB = Key(0.5, within(0, 1))
    add_transform_keys(node)
    # Images in a step, over all processes.
    node.TRAIN.BATCH_SIZE = Key(16, at_least(1))
    # Loader workers of each training process, at most one for each CPU; 0 loads in the training
    # process itself.
    node.TRAIN.LOADER_THREADS = Key(4, at_least(0))
    # Precision in which the network is trained, "float32" or "bfloat16" (autocast: convolutions and
    # matrix products in bfloat16, weights, losses and boxes in float32).
    node.TRAIN.PRECISION = Key("float32", one_of("float32", "bfloat16"))
    # Names of registered hooks, which are called between the steps, in this order. Pet registers
    # none itself: TEST.EVAL_PERIOD switches its own on. See docs/extending.md.
    node.TRAIN.HOOKS = ()
    # Whether a run continues from CKPT/model_latest.pth if it exists.
    node.TRAIN.AUTO_RESUME = True


def _add_test_keys(node: Section) -> None:
    node.TEST = Section()
    # Weights to test; empty takes CKPT/model_latest.pth.
    node.TEST.WEIGHTS = ""
    # Names of the data sets to test on, one after the other.
    node.TEST.DATASETS = ()
    # Iterations of training between two scorings on TEST.DATASETS, with one more after the last
    # step; 0 for none. If it is changed without EVAL_EPOCHS, that becomes 0.
    node.TEST.EVAL_PERIOD = Key(0, at_least(0))
    # Epochs between two scorings; 0: EVAL_PERIOD iterations.
    node.TEST.EVAL_EPOCHS = Key(0, at_least(0))
    # Figure whose highest value marks the weights that training keeps in CKPT/model_best.pth:
    # "KIND/FIGURE", such as "bbox/AP" or "segm/AP50", with several data sets "NAME/KIND/FIGURE".
    # Empty: the AP of masks if there are any, else of keypoints, else of boxes (the AR1000 of
    # proposals), on the first of TEST.DATASETS.
    node.TEST.BEST_KEY = ""
    # Length of the shorter image side, in pixels.
    node.TEST.SCALE = Key(800, at_least(1))
    # Longest allowed image side, in pixels.
    node.TEST.MAX_SIZE = Key(1333, at_least(1))
    # Images in a batch, for each process.
    node.TEST.IMS_PER_GPU = Key(1, at_least(1))
    # Loader workers of each testing process, as TRAIN.LOADER_THREADS.
    node.TEST.LOADER_THREADS = Key(2, at_least(0))
    # Precision of the network in testing and in predictors, as TRAIN.PRECISION.
    node.TEST.PRECISION = Key("float32", one_of("float32", "bfloat16"))

    node.TEST.BBOX_AUG = Section()
    # Whether boxes are found in several views of an image: at TEST.SCALE and the SCALES below.
    node.TEST.BBOX_AUG.ENABLED = False
    # Whether each view is also used mirrored.
    node.TEST.BBOX_AUG.H_FLIP = True
    # Lengths of the shorter side of the additional views, in pixels.
    node.TEST.BBOX_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # Longest allowed side of these views, in pixels.
    node.TEST.BBOX_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.MASK_AUG = Section()
    # Whether masks are averaged over several views.
    node.TEST.MASK_AUG.ENABLED = False
    # As TEST.BBOX_AUG.H_FLIP.
    node.TEST.MASK_AUG.H_FLIP = True
    # As TEST.BBOX_AUG.SCALES.
    node.TEST.MASK_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # As TEST.BBOX_AUG.MAX_SIZE.
    node.TEST.MASK_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.KPS_AUG = Section()
    # Whether the heatmaps of keypoints are averaged over several views.
    node.TEST.KPS_AUG.ENABLED = False
    # As TEST.BBOX_AUG.H_FLIP.
    node.TEST.KPS_AUG.H_FLIP = True
    # As TEST.BBOX_AUG.SCALES.
    node.TEST.KPS_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # As TEST.BBOX_AUG.MAX_SIZE.
    node.TEST.KPS_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.SOFT_NMS = Section()
    # Whether the score of a detection that overlaps a better one of its class is reduced, instead
    # of dropping it (Bodla et al. 2017).
    node.TEST.SOFT_NMS.ENABLED = False
    # "linear" (times 1 - IoU where the IoU is above FAST_RCNN.NMS, or RETINANET.NMS; equation 1 of
    # the paper) or "gaussian" (times exp(-IoU² / SIGMA); equation 2). Source: Detectron's default.
    node.TEST.SOFT_NMS.METHOD = Key("linear", one_of("linear", "gaussian"))
    # Width of the Gaussian. Source: 0.5, section 5 of the paper.
    node.TEST.SOFT_NMS.SIGMA = Key(0.5, more_than(0))
    # A detection whose score has fallen to this or below is dropped, in [0, 1]. Source: Detectron.
    node.TEST.SOFT_NMS.SCORE_THRESH = Key(0.0001, within(0, 1))
