import pytest

from pet.config import UnknownNameError, describe_key
from pet.config.describe import read_comments


@pytest.mark.parametrize(
    ("name", "default", "rule", "comment"),
    [
        ("SEED", 0, "at least 0", "Seed of initialisation, sampling and augmentation. Equal se"),
        ("SOLVER.GAMMA", 0.1, "at least 0", "Factor of each decay of the STEP policy."),
        ("INPUT.CHANNEL_ORDER", "RGB", "one of RGB, BGR", "Channel order the network expects, "),
        ("TRAIN.SCALES", (800,), "1 or more values, each at least 1", "Lengths of the shorter"),
        ("TRAIN.WEIGHTS", "", "", "Weights to start from: ImageNet weights of the trunk"),
        ("MODEL.NUM_CLASSES", -1, "-1 or at least 2", "Number of classes with the background"),
        ("RETINANET.PRIOR_PROB", 0.01, "in (0, 1)", "Score of all classes of all anchors at "),
        (
            "SOLVER.WARM_UP_FACTOR",
            1 / 3,
            "in (0, 1], with SOLVER.WARM_UP_ITERS",
            "Factor on the learning rate at iteration 0 of the warm-up. Source: Goyal et al. 2017",
        ),
        ("DATASETS.some.where.MAX_IMAGES", 0, "at least 0", "Use only the first so many images"),
    ],
)
def test_a_key_is_described(name, default, rule, comment):
    found = describe_key(name)
    assert (found.name, found.default, found.rule) == (name, default, rule)
    assert found.comment.startswith(comment)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SOLVER.GAMA", "SOLVER.GAMMA"),
        ("solver.gamma", "the keys are listed in pet/config/"),
        ("DATASETS.mine.IMAGE", "DATASETS.mine.IMAGES"),
        ("", "the keys are listed in pet/config/"),
    ],
)
def test_a_key_that_is_not_there(name, hint):
    with pytest.raises(UnknownNameError, match=f"^unknown config key '{name}'; .*{hint}"):
        describe_key(name)


def test_comments_are_read_by_hand():
    source = (
        "# Of the section.\n"
        "node.A = Section()\n"
        "#: No part of it.\n"
        "# One line,\n"
        "# and another.\n"
        "node.A.B = 1\n"
        "node.A.C = Key(\n"
        "    # inside\n"
        "    2\n"
        ")\n"
        "# Of nothing.\n"
        "\n"
        "DATASET_TEMPLATE.D = ''\n"
        "# Somebody else's.\n"
        "other.E = 3\n"
    )
    assert read_comments(source) == {
        "A": "Of the section.",
        "A.B": "One line, and another.",
        "A.C": "",
        "DATASETS.<name>.D": "",
    }
