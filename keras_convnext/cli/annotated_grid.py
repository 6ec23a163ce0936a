"""A grid of augmented images with the boxes or label maps that moved with them."""

from keras_convnext import detection, segmentation
from keras_convnext.data import AnnotatedBatches
from keras_convnext.drawing import draw_grid
from keras_convnext.preprocessing.augmentation import ImageFormat, augment_sample
from keras_convnext.training import RECIPES

CELL = 240
"""The greatest side of an image in the grid, in pixels."""


def draw_annotated_grid(images, task, size, columns, seed, path):
    """Draws a row per image: the resized image, and then its augmentations in successive epochs.

    Args:
        images: `AnnotatedImages`.
        task: `Detection` or `Segmentation`. The steps are those of the recipe of the task's name.
        size: int, side in pixels to which images are resized, as the model sees them.
        columns: int, number of images in a row.
        seed: int, seed of the augmentation.
        path: the file to write.
    """
    steps = RECIPES[task.name].augmentation.for_images(ImageFormat(size, size, 3)).steps
    settings = {"batch_size": len(images), "size": (size, size), "target": task.target, "seed": seed}
    plain = AnnotatedBatches(images, **settings)
    augmented = AnnotatedBatches(images, **settings, transform=lambda sample, seed: augment_sample(sample, seed, steps))
    drawn = [_drawn(*plain[0], task, images.class_names)]
    for epoch in range(columns - 1):
        augmented.epoch = epoch
        drawn.append(_drawn(*augmented[0], task, images.class_names))
    rows = zip(*drawn, strict=True)
    draw_grid([picture for row in rows for picture in row], columns=columns, cell=CELL, path=path)


def _drawn(pixels, targets, task, class_names):
    """A picture of each image of a batch with its annotation."""
    if task.target == "boxes":
        truths = detection.unpad(targets)
        return [
            detection.draw_boxes(image, class_names=class_names, truth=truth)
            for image, truth in zip(pixels, truths, strict=True)
        ]
    return [
        segmentation.draw_label_map(image, label_map, class_names, legend=False)
        for image, label_map in zip(pixels, targets, strict=True)
    ]
