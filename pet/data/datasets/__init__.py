"""Data sets, one file format each."""

from pet.data.dataset import Dataset
from pet.data.datasets.coco import CocoDataset
from pet.data.datasets.coco_keypoints import KeypointOptions
from pet.data.datasets.concat import ConcatDataset
from pet.data.datasets.shapes import draw_shapes

__all__ = ["CocoDataset", "ConcatDataset", "Dataset", "KeypointOptions", "draw_shapes"]
