"""Names, limbs and mirror pairs of the keypoints of a data set."""

from dataclasses import dataclass

# Prefixes of the names that swap places in a mirrored image.
_SIDES = (("left_", "right_"), ("right_", "left_"))


Limb = tuple[int, int]  # from one point to another, 0..P-1


@dataclass(frozen=True)
class KeypointLayout:
    """The P keypoints of every object of a data set, in order."""

    names: tuple[str, ...]  # P
    skeleton: tuple[Limb, ...] = ()

    def __post_init__(self) -> None:
        assert all(0 <= point < len(self.names) for limb in self.skeleton for point in limb)

    def __len__(self) -> int:
        return len(self.names)

    def flip_order(self) -> tuple[int, ...]:
        """Return, for each point, the index of the point that replaces it in the mirrored image.

        left_x and right_x swap places, the others stay. Raises ValueError if one of the two is
        missing.
        """
        order, lonely = [], []
        for name in self.names:
            partner = _mirrored(name)
            if partner in self.names:
                order.append(self.names.index(partner))
            else:
                lonely.append(f"{name!r} without {partner!r}")
        if lonely:
            raise ValueError(
                f"keypoints that have no partner in a mirrored image: {', '.join(lonely)}; name "
                "the two sides of a pair left_x and right_x in the categories of the annotation "
                "file"
            )
        return tuple(order)


def _mirrored(name: str) -> str:
    for side, other in _SIDES:
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


#: The points of COCO's people.
COCO_PERSON = KeypointLayout(
    names=(
        "nose",
        *("left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist", "left_hip", "right_hip"),
        *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    skeleton=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12)),
        *((5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
)
