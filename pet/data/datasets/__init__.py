"""Data sets, one file format each."""

from pet.data.datasets.coco import CocoDataset
from pet.data.datasets.coco_keypoints import KeypointOptions
from pet.data.datasets.joined import JoinedDataset
from pet.data.datasets.shapes import draw_shapes

Dataset = CocoDataset | JoinedDataset

__all__ = ["CocoDataset", "Dataset", "JoinedDataset", "KeypointOptions", "draw_shapes"]
