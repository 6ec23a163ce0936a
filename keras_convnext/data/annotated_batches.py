"""Batches of annotated images with padded boxes or label maps, on every backend."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_convnext.data.annotated_images import AnnotatedImages, has_area
from keras_convnext.data.batches import Batches
from keras_convnext.data.images import read_image
from keras_convnext.data.letterbox import clip_boxes, letterbox
from keras_convnext.data.masks import check_target
from keras_convnext.preprocessing.augmentation.annotations import NOT_ANNOTATED, PADDING
from keras_convnext.scalars import integers


class AnnotatedBatches(Batches):
    """Batches of `AnnotatedImages`, all resized to one size, for `fit` and `predict` of detectors and segmenters.

    Each image is read, changed by `transform` and resized by `letterbox`: its aspect ratio is kept, and it is padded at
    the right and bottom. Boxes of groups of objects (`is_crowd`) are left out. The order, `EpochOrder`, `close`,
    `failure` and `group` are as for `Batches`.

    Args:
        images: `AnnotatedImages`, not empty.
        batch_size: images per batch; fewer if there are fewer images.
        size: `(height, width)` of the results in pixels.
        target: `"boxes"` or `"label_map"`. Defaults to `"boxes"`.
        transform: function of a sample and a seed that returns a sample, such as an augmentation. The sample is a dict
            with the keys of keras-cv, see `letterbox`: `images`, uint8 if the source is; and `bounding_boxes` or
            `segmentation_masks`, according to `target`. The seed is `(seed, epoch, index)`, in which `index` is that
            of the image. Defaults to None: samples stay as they are.
        shuffle: as for `Batches`. Defaults to False.
        seed: seed of the order, and of `transform`. Defaults to 0.
        threads: number of images of a batch that are prepared in parallel. Defaults to None: one per core.
        group: as for `Batches`. Defaults to 1.

    Attributes:
        most: the largest number of objects in an image of the data set, 1 or more: the length to which every batch is
            padded, so that all batches have one shape.

    Item: `(pixels, {"boxes": boxes, "classes": classes})` or `(pixels, label_map)`. `pixels` has the shape `(batch,
    height, width, channels)`, float32 in 0..255. `boxes` has the shape `(batch, most, 4)`, in pixels of the result:
    left, top, right, bottom. `classes` has the shape `(batch, most)`. Both are float32 and padded with -1, as in
    keras-cv. `label_map` has the shape `(batch, height, width)`, int32, with 255 where a pixel is not annotated.

    Raises:
        ValueError: a value out of its range; a target that the annotations do not have; for an item, a transform that
            returns other than finite pixels and boxes, more boxes than it was given, or a class that does not exist.

    Example:

    >>> from keras_convnext.data import AnnotatedBatches, digit_scenes
    >>> batches = AnnotatedBatches(digit_scenes(count=8, size=(64, 96)).train, batch_size=4, size=(64, 64))
    >>> pixels, targets = batches[0]
    >>> pixels.shape, targets["boxes"].shape == (4, batches.most, 4)
    ((4, 64, 64, 3), True)
    """

    def __init__(
        self,
        images: AnnotatedImages,
        batch_size: int,
        size: tuple[int, int],
        target: str = "boxes",
        transform: Callable[[dict, tuple[int, int, int]], dict] | None = None,
        shuffle: bool = False,
        seed: int = 0,
        threads: int | None = None,
        group: int = 1,
    ):
        if not isinstance(images, AnnotatedImages) or not len(images):
            raise ValueError(f"Expected `AnnotatedImages` with one image or more. Received: images={images!r}")
        if check_target(target) == "label_map" and not all(one.has_label_map for one in images.annotations):
            raise ValueError(
                "Expected images with label maps. Received: images with boxes. `data.as_segmentation` paints label "
                'maps from instance masks, and `data.load_annotated(source, target="label_map")` loads them.'
            )
        super().__init__(images, batch_size, transform, shuffle, seed, threads, group)  # type: ignore[arg-type]
        height, width = integers("size", size, 1)
        self.size = (height, width)
        self.target = target
        self.most = max(1, *(int((~one.is_crowd).sum()) for one in images.annotations))

    def _batch(self, index):
        chosen = self._chosen(index)
        with ThreadPoolExecutor(self.threads) as pool:
            samples = list(pool.map(self._sample, chosen))
        pixels = np.stack([sample["images"] for sample in samples]).astype("float32")
        if self.target == "label_map":
            return pixels, np.stack([sample["segmentation_masks"] for sample in samples]).astype("int32")
        boxes = np.full((len(samples), self.most, 4), PADDING, "float32")
        classes = np.full((len(samples), self.most), PADDING, "float32")
        for place, sample in enumerate(samples):
            found = sample["bounding_boxes"]
            boxes[place, : len(found["boxes"])] = found["boxes"]
            classes[place, : len(found["classes"])] = found["classes"]
        return pixels, {"boxes": boxes, "classes": classes}

    def _sample(self, index):
        """One image with its annotation: read, transformed, checked and resized."""
        pixels = self.images.pixels[index]
        name = pixels if self.images.are_files else f"Image {index}"
        annotation = self.images.annotations[index]
        sample = {"images": read_image(pixels)}
        if self.target == "label_map":
            sample["segmentation_masks"] = annotation.label_map
        else:
            keep = ~annotation.is_crowd
            sample["bounding_boxes"] = {"boxes": annotation.boxes[keep], "classes": annotation.classes[keep]}
        if self.transform is not None:
            sample = self.transform(sample, (self.seed, self.epoch, int(index)))
        try:
            return letterbox(self._checked(sample), self.size)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _checked(self, sample):
        """A sample without objects that are no longer in the image; an error if it would spoil a batch."""
        image = np.asarray(sample["images"])
        if image.dtype != np.uint8 and not np.isfinite(image).all():
            raise ValueError("Expected finite pixels. Received: pixels that are NaN or infinite")
        count = len(self.images.class_names)
        if self.target == "label_map":
            label_map = np.asarray(sample["segmentation_masks"])
            label_map = label_map[..., 0] if label_map.ndim == 3 else label_map
            wrong = (label_map != NOT_ANNOTATED) & ((label_map < 0) | (label_map >= count))
            if wrong.any():
                raise ValueError(
                    f"Expected classes from 0 to {count - 1}, or 255 where a pixel is not annotated. "
                    f"Received: a label map with {label_map[wrong][0]}"
                )
            return {**sample, "images": image, "segmentation_masks": label_map}
        boxes = np.asarray(sample["bounding_boxes"]["boxes"], "float32").reshape(-1, 4)
        classes = np.asarray(sample["bounding_boxes"]["classes"]).reshape(-1)
        if not np.isfinite(boxes).all():
            raise ValueError(f"Expected boxes of finite numbers. Received: {boxes.tolist()}")
        boxes = clip_boxes(boxes, *image.shape[:2])
        keep = has_area(boxes)
        boxes, classes = boxes[keep], classes[keep]
        if len(boxes) > self.most:
            raise ValueError(f"Expected {self.most} boxes or fewer, as in the data set. Received: {len(boxes)}")
        if len(classes) and not 0 <= classes.min() <= classes.max() < count:
            raise ValueError(f"Expected classes from 0 to {count - 1}. Received: {classes.tolist()}")
        return {**sample, "images": image, "bounding_boxes": {"boxes": boxes, "classes": classes}}
