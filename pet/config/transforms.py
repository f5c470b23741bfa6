"""The keys of the transforms of training images, in the section TRAIN.

Each transform acts if TRAIN.TRANSFORMS names it. The comment above each key gives meaning, unit,
choices and, if the default is not Pet's choice, its source. The rule of the key follows its
default: it tells which other values the key takes.
"""

from .rules import at_least, more_than, tuple_of, within
from .section import Key, Section


def add_transform_keys(node: Section) -> None:
    """Add the keys of the transforms to ``node``, in place."""
    # "random_vertical_flip": probability that above and below change places, in [0, 1].
    node.TRAIN.VERTICAL_FLIP_PROB = Key(0.5, within(0, 1))
    # "random_rotate90": probability of a turn by 90, 180 or 270 degrees, which are equally likely,
    # in [0, 1]; with 0.75 all four positions are.
    node.TRAIN.ROTATE90_PROB = Key(0.75, within(0, 1))

    node.TRAIN.RANDOM_CROP = Section()
    # "random_crop": probability that an image is cropped, in [0, 1].
    node.TRAIN.RANDOM_CROP.PROB = Key(0.5, within(0, 1))
    # Least and greatest height, and width, of the crop as a share of that of the image; the two are
    # drawn separately. Source: Detectron2's RandomCrop, "relative_range".
    node.TRAIN.RANDOM_CROP.SIDES = Key((0.5, 1.0), tuple_of(within(0, 1, "(]"), length=2))
    # An object of whose box a smaller share than this is in the crop is left out, in [0, 1].
    node.TRAIN.RANDOM_CROP.MIN_VISIBLE = Key(0.25, within(0, 1))

    node.TRAIN.LARGE_SCALE_JITTER = Section()
    # "large_scale_jitter": height and width of all training images, in pixels. Source: Ghiasi et
    # al. 2021 (Simple Copy-Paste), as in Detectron2.
    node.TRAIN.LARGE_SCALE_JITTER.SIZE = Key((1024, 1024), tuple_of(at_least(1), length=2))
    # Least and greatest scale, in units of the one at which the image just fits into SIZE. Source:
    # section 3 of the paper.
    node.TRAIN.LARGE_SCALE_JITTER.SCALES = Key((0.1, 2.0), tuple_of(more_than(0), length=2))

    node.TRAIN.COLOR_JITTER = Section()
    # "color_jitter": probability of each of the four changes, in [0, 1]. They come in random order.
    # Source of this and the strengths: torchvision's RandomPhotometricDistort, after SSD (Liu et
    # al. 2016).
    node.TRAIN.COLOR_JITTER.PROB = Key(0.5, within(0, 1))
    # The factor of all values is at most so far from 1; 0 for none.
    node.TRAIN.COLOR_JITTER.BRIGHTNESS = Key(0.125, at_least(0))
    # The factor of the distance to the mean brightness is at most so far from 1; 0 for none.
    node.TRAIN.COLOR_JITTER.CONTRAST = Key(0.5, at_least(0))
    # The factor of the distance to grey is at most so far from 1; 0 for none.
    node.TRAIN.COLOR_JITTER.SATURATION = Key(0.5, at_least(0))
    # Largest shift of the hue to either side, in whole turns of the colour circle, in [0, 0.5].
    node.TRAIN.COLOR_JITTER.HUE = Key(0.05, within(0, 0.5))

    node.TRAIN.COPY_PASTE = Section()
    # "copy_paste": probability that objects of another image are pasted, in [0, 1]. Source: always,
    # Ghiasi et al. 2021, section 3.
    node.TRAIN.COPY_PASTE.PROB = Key(1.0, within(0, 1))
    # An object of whose pixels a smaller share than this is still seen is left out, in [0, 1].
    # Source: 0, only those that are hidden altogether, section 3 of the paper.
    node.TRAIN.COPY_PASTE.MIN_VISIBLE = Key(0.0, within(0, 1))
