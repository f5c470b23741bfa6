"""The keys every model family shares: where things run, what is read, how it is trained and tested.

Each key is described above its default: meaning, unit, choices and, where the value is somebody's
choice rather than ours, the source. Behind the default stands its rule: which other values the key
takes.
"""

from .rules import at_least, more_than, one_of, tuple_of, within
from .section import Key, Section

#: The fields of one ``DATASETS.<name>`` block and their defaults.
DATASET_TEMPLATE = Section()
# File format of the annotations: "coco", or one that a file of yours registers.
DATASET_TEMPLATE.TYPE = "coco"
# Folder of the images. A relative path is tried from the working directory, then under DATA_DIR.
DATASET_TEMPLATE.IMAGES = ""
# Annotation file, or, for a type that takes one, the folder of them; found like IMAGES.
DATASET_TEMPLATE.ANNOTATIONS = ""
# Names of the classes, in order of the labels 1, 2 ... Data sets with equal CLASSES have equal
# labels, even if one lacks some of the classes. A category of another name in the annotations is an
# error. Empty: the classes and their order are those of the annotations.
DATASET_TEMPLATE.CLASSES = ()
# Use only the first so many images in order of image id; 0 uses all.
DATASET_TEMPLATE.MAX_IMAGES = Key(0, at_least(0))


def base_cfg() -> Section:
    """Return a new section with the keys that do not depend on the model family."""
    node = Section()
    # Where the model runs: "auto" (CUDA where there is one, else CPU), "cpu", "cuda" or "cuda:N".
    node.DEVICE = "auto"
    # Output folder. Empty: derived from the YAML's place, cfgs/a/b.yaml -> ckpts/a/b.
    node.CKPT = ""
    # Folder under which data sets are looked for, and into which the shapes are drawn.
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
    # What is done with the EXIF orientation of a picture file: "auto" (turned upright, except where
    # the width and height that the data set declares fit only the pixels as stored), "upright"
    # (always turned) or "stored" (never).
    node.INPUT.ORIENTATION = Key("auto", one_of("auto", "upright", "stored"))
    # Most pixels of a picture file. A larger one is refused before it is decoded; 0 for no limit.
    node.INPUT.MAX_PIXELS = Key(250_000_000, at_least(0))
    # How many bits the values of pictures with 16 bits a channel use, 8 to 16: 12 for those of many
    # cameras and microscopes. They are divided by 2 ** (BIT_DEPTH - 8).
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
    # antialiased bilinear; Detectron2) or "float" (bilinear, neither antialiased nor rounded to
    # whole pixel values, on the device and not in the loader; torchvision).
    node.INPUT.INTERPOLATION = Key("opencv", one_of("opencv", "pil", "float"))
    # How the sides of a resized image become whole pixels: "half_up" (Detectron2) or "floor"
    # (torchvision).
    node.INPUT.RESIZE_ROUNDING = Key("half_up", one_of("half_up", "floor"))
    # Batches are padded so that height and width are multiples of this, in pixels. Source: FPN's
    # coarsest stride in the trunk is 32.
    node.INPUT.SIZE_DIVISIBILITY = Key(32, at_least(1))

    node.DATALOADER = Section()
    # Order of the training images: "DistributedSampler" (each image once an epoch, shuffled) or
    # "RepeatFactorTrainingSampler" (images of rare classes come more often; Gupta et al., LVIS,
    # 2019, section 5.3).
    node.DATALOADER.SAMPLER_TRAIN = Key(
        "DistributedSampler", one_of("DistributedSampler", "RepeatFactorTrainingSampler")
    )
    # With the repeat factor sampler: a class in a smaller fraction of the images is oversampled.
    node.DATALOADER.REPEAT_THRESHOLD = Key(0.001, within(0, 1))
    # Whether a process's batch holds only upright or only wide images, which saves padding.
    node.DATALOADER.ASPECT_RATIO_GROUPING = True
    # Whether training leaves out images with no usable annotation. False trains on them, as
    # background.
    node.DATALOADER.FILTER_EMPTY_ANNOTATIONS = True


def _add_solver_keys(node: Section) -> None:
    node.SOLVER = Section()
    # "SGD" or "ADAMW".
    node.SOLVER.OPTIMIZER = Key("SGD", one_of("SGD", "ADAMW"))
    # Learning rate after warm-up, for the whole batch of TRAIN.BATCH_SIZE images. Source: 0.02
    # for 16 images, Mask R-CNN (He et al. 2017) as trained by Detectron.
    node.SOLVER.BASE_LR = Key(0.02, more_than(0))
    # Number of optimizer steps.
    node.SOLVER.MAX_ITER = Key(90000, at_least(1))
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
    # Whether trunk, pyramid and the convolutions over all anchors are compiled (torch.compile), at
    # the first steps: a minute or more, each time that a run starts. Needs a C++ compiler.
    node.SOLVER.COMPILE = False
    # Gradients are scaled down to this total L2 norm; 0 leaves them alone.
    node.SOLVER.CLIP_GRAD_NORM = Key(0.0, at_least(0))
    # Iterations over which the learning rate rises to its schedule; 0 for none.
    node.SOLVER.WARM_UP_ITERS = Key(500, at_least(0))
    # Factor on the learning rate at iteration 0 of the warm-up. Source: Goyal et al. 2017, as
    # Detectron applies it.
    node.SOLVER.WARM_UP_FACTOR = Key(
        1.0 / 3.0, within(0, 1, "(]"), only_with="SOLVER.WARM_UP_ITERS"
    )
    # "LINEAR" (the factor rises to 1) or "CONSTANT" (the factor holds, then jumps to 1).
    node.SOLVER.WARM_UP_METHOD = Key("LINEAR", one_of("LINEAR", "CONSTANT"))
    # "STEP" (times GAMMA at each of STEPS), "COSINE" or "POLY" (both fall to 0 at MAX_ITER).
    node.SOLVER.LR_POLICY = Key("STEP", one_of("STEP", "COSINE", "POLY"))
    # Iterations at which the STEP policy decays, rising.
    node.SOLVER.STEPS = Key((60000, 80000), tuple_of(at_least(0), rising=True))
    # Factor of each decay of the STEP policy.
    node.SOLVER.GAMMA = Key(0.1, at_least(0))
    # Exponent of the POLY policy. Source: DeepLab (Chen et al. 2017), 0.9.
    node.SOLVER.LR_POW = Key(0.9, at_least(0))
    # Iterations between two checkpoints; 0 writes only the one at the end.
    node.SOLVER.SNAPSHOT_ITERS = Key(10000, at_least(0))


def _add_train_keys(node: Section) -> None:
    node.TRAIN = Section()
    # Weights to start from: ImageNet weights of the trunk (torchvision's, Detectron2's, Caffe2's),
    # a published detector, or a checkpoint of Pet. Empty: random weights.
    node.TRAIN.WEIGHTS = ""
    # Whether weights in TRAIN.WEIGHTS that are for other classes or keypoints are left at their
    # random start and reported: those of another shape, and where the file names its classes or
    # keypoints otherwise than the data, those of the layers that predict them. False makes another
    # shape an error, and keeps layers for other names, with a warning.
    node.TRAIN.REINIT_MISMATCHED = False
    # Names of the data sets trained on, joined.
    node.TRAIN.DATASETS = ()
    # What is done to each training image before it is put into a batch, by name and in this order:
    # "resize" (TRAIN.SCALES, TRAIN.MAX_SIZE), "random_horizontal_flip" (TRAIN.FLIP_PROB), or what a
    # file of yours registers.
    node.TRAIN.TRANSFORMS = ("resize", "random_horizontal_flip")
    # Lengths of the shorter image side, in pixels; one is drawn for each image.
    node.TRAIN.SCALES = Key(
        (800,), tuple_of(at_least(1), empty=False), says="needs one or more positive sizes"
    )
    # Longest allowed image side, in pixels.
    node.TRAIN.MAX_SIZE = Key(1333, at_least(1))
    # Chance of a horizontal flip, in [0, 1].
    node.TRAIN.FLIP_PROB = Key(0.5, within(0, 1))
    # Images in a step, over all processes together.
    node.TRAIN.BATCH_SIZE = Key(16, at_least(1))
    # Loader processes beside each training process, at most one for each CPU; 0 loads in the
    # training process itself.
    node.TRAIN.LOADER_THREADS = Key(4, at_least(0))
    # Precision in which the network is trained, "float32" or "bfloat16" (autocast: convolutions and
    # matrix products in bfloat16, weights, losses and boxes in float32).
    node.TRAIN.PRECISION = Key("float32", one_of("float32", "bfloat16"))
    # Registered hooks, which do something beside the steps, in the order that they are called. Pet
    # brings none; see docs/extending.md.
    node.TRAIN.HOOKS = ()
    # Whether a run goes on from CKPT/model_latest.pth where there is one.
    node.TRAIN.AUTO_RESUME = True


def _add_test_keys(node: Section) -> None:
    node.TEST = Section()
    # Weights to test; empty takes CKPT/model_latest.pth.
    node.TEST.WEIGHTS = ""
    # Names of the data sets tested on, one after the other.
    node.TEST.DATASETS = ()
    # Length of the shorter image side, in pixels.
    node.TEST.SCALE = Key(800, at_least(1))
    # Longest allowed image side, in pixels.
    node.TEST.MAX_SIZE = Key(1333, at_least(1))
    # Images in a batch, for each process.
    node.TEST.IMS_PER_GPU = Key(1, at_least(1))
    # Loader processes beside each testing process, as TRAIN.LOADER_THREADS.
    node.TEST.LOADER_THREADS = Key(2, at_least(0))
    # Precision of the network in testing and in predictors, as TRAIN.PRECISION.
    node.TEST.PRECISION = Key("float32", one_of("float32", "bfloat16"))

    node.TEST.BBOX_AUG = Section()
    # Whether boxes are found in several views of an image: at TEST.SCALE, and at those below.
    node.TEST.BBOX_AUG.ENABLED = False
    # Whether each of the views is also looked at mirrored.
    node.TEST.BBOX_AUG.H_FLIP = True
    # Lengths of the shorter side of the further views, in pixels.
    node.TEST.BBOX_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # Longest allowed side of these views, in pixels.
    node.TEST.BBOX_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.MASK_AUG = Section()
    # Whether masks are the mean over several views, likewise.
    node.TEST.MASK_AUG.ENABLED = False
    # As TEST.BBOX_AUG.H_FLIP.
    node.TEST.MASK_AUG.H_FLIP = True
    # As TEST.BBOX_AUG.SCALES.
    node.TEST.MASK_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # As TEST.BBOX_AUG.MAX_SIZE.
    node.TEST.MASK_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.KPS_AUG = Section()
    # Whether the heatmaps of keypoints are the mean over several views, likewise.
    node.TEST.KPS_AUG.ENABLED = False
    # As TEST.BBOX_AUG.H_FLIP.
    node.TEST.KPS_AUG.H_FLIP = True
    # As TEST.BBOX_AUG.SCALES.
    node.TEST.KPS_AUG.SCALES = Key((400, 600, 1000, 1200), tuple_of(more_than(0)))
    # As TEST.BBOX_AUG.MAX_SIZE.
    node.TEST.KPS_AUG.MAX_SIZE = Key(2000, at_least(1))

    node.TEST.SOFT_NMS = Section()
    # Whether a detection that overlaps a better one of its class loses score instead of being
    # dropped (Bodla et al. 2017).
    node.TEST.SOFT_NMS.ENABLED = False
    # "linear" (times 1 - IoU where the IoU is above FAST_RCNN.NMS, or RETINANET.NMS; equation 1 of
    # the paper) or "gaussian" (times exp(-IoU² / SIGMA); equation 2). Source: Detectron's default.
    node.TEST.SOFT_NMS.METHOD = Key("linear", one_of("linear", "gaussian"))
    # Width of the Gaussian. Source: 0.5, section 5 of the paper.
    node.TEST.SOFT_NMS.SIGMA = Key(0.5, more_than(0))
    # A detection whose score has fallen to this or below is dropped, in [0, 1]. Source: Detectron.
    node.TEST.SOFT_NMS.SCORE_THRESH = Key(0.0001, within(0, 1))
