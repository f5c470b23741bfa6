"""The drawn pictures that the tutorials' pictures show, as samples of the loader."""

import numpy as np
import torch

from pet.data.datasets.mask_polygons import mask_to_polygons
from pet.data.datasets.shapes_art import draw_picture
from pet.data.sample import Sample
from pet.structures import ImageInfo, PolygonMask


def read_shapes(image_id: int) -> Sample:
    """Return picture ``image_id`` of shapes_train, as it is read."""
    picture = draw_picture(np.random.default_rng([0, image_id]))
    height, width = picture.image.shape[:2]
    outlines = [
        tuple(np.reshape(np.array(polygon, float), (-1, 2)) for polygon in mask_to_polygons(mask))
        for mask in picture.masks
    ]
    corners = [np.concatenate(polygons) for polygons in outlines]
    boxes = [(*points.min(axis=0), *points.max(axis=0)) for points in corners]
    return Sample(
        picture.image,
        ImageInfo(image_id, height, width, f"{image_id:06d}.png"),
        torch.tensor(np.array(boxes), dtype=torch.float32),
        torch.tensor(picture.labels),
        tuple(map(PolygonMask, outlines)),
    )
