"""The names of COCO's classes, for published weight files, which do not contain them."""

from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

#: The names of the category ids 1 to 90; "N/A" for ids that COCO no longer uses.
BY_CATEGORY_ID: tuple[str, ...] = tuple(
    FasterRCNN_ResNet50_FPN_Weights.COCO_V1.value.meta["categories"][1:]
)
#: The names of the 80 categories in order of id.
CONTIGUOUS: tuple[str, ...] = tuple(name for name in BY_CATEGORY_ID if name != "N/A")
