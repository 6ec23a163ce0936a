"""Boxes, label maps and keypoints through every step: a mask, its box and its points move together."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from keras_convnext.preprocessing.augmentation import (
    Affine,
    ArrayStep,
    GeometricStep,
    ImageStep,
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    augment_image,
    augment_sample,
    to_pil,
)
from keras_convnext.preprocessing.augmentation.annotations import move_label_map
from keras_convnext.preprocessing.augmentation.geometry import CropAndResize, FlipLeftRight, rotation
from keras_convnext.preprocessing.augmentation.rand_augment_operations import OPERATIONS

pytestmark = pytest.mark.once

HEIGHT, WIDTH = 40, 56
OBJECT = 7
GEOMETRIC = [name for name, operation in OPERATIONS.items() if operation.coefficients]
TURNED = ("Rotate", "ShearX", "ShearY")


@dataclass(frozen=True)
class Operation(GeometricStep):
    """One operation of RandAugment that moves pixels."""

    name: str

    def transformation(self, height, width, generator):
        amount = OPERATIONS[self.name].amount(generator.uniform(-1, 1))
        return OPERATIONS[self.name].transformation(to_pil(np.zeros((height, width, 1), "uint8")), amount, 0)


@dataclass(frozen=True)
class Shift(GeometricStep):
    columns: int
    rows: int

    def transformation(self, height, width, generator):
        return Affine(height, width, (1, 0, -self.columns, 0, 1, -self.rows))


@dataclass(frozen=True)
class Unknown(ImageStep):
    def augment_image(self, image, generator):
        return image.rotate(90)


@dataclass(frozen=True)
class UnknownOnArrays(ArrayStep):
    def augment_array(self, pixels, generator):
        return pixels[::-1]


@dataclass(frozen=True)
class Darken(ImageStep):
    moves_pixels = False

    def augment_image(self, image, generator):
        return Image.eval(image, lambda value: value // 2)


STEPS = {
    "crop": [RandomResizedCrop(32, 48, scale=(0.3, 1.0))],
    "crop_smaller": [RandomResizedCrop(20, 24)],
    "flip": [RandomFlip()],
    "colours": [Darken(), RandomErasing(1.0)],
    **{name: [Operation(name)] for name in GEOMETRIC},
    "all": [RandomResizedCrop(32, 48, scale=(0.5, 1.0)), RandomFlip(), RandAugment(probability=1.0), RandomErasing()],
}


def sample_of(seed):
    """An image with the mask of a rectangle, its box, and three of its pixels as points."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(HEIGHT - 4), rng.integers(WIDTH - 4)
    bottom, right = rng.integers(top + 4, HEIGHT + 1), rng.integers(left + 4, WIDTH + 1)
    label_map = np.zeros((HEIGHT, WIDTH), "uint8")
    label_map[top:bottom, left:right] = OBJECT
    points = np.stack([rng.integers(left, right, 3), rng.integers(top, bottom, 3)], axis=1)
    return {
        "images": rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype="uint8"),
        "labels": np.eye(3)[0],
        "bounding_boxes": {"boxes": np.array([[left, top, right, bottom]], "float32"), "classes": np.array([OBJECT])},
        "segmentation_masks": label_map,
        "keypoints": points.astype("float32"),
    }


def box_of(label_map):
    rows, columns = np.nonzero(label_map.squeeze() == OBJECT)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("name", STEPS)
def test_a_mask_and_its_box_move_together(name):
    """An edge of the mask is that of the box, rounded to a pixel; that of a turned mask lies within the box."""
    moved, dropped = 0, 0
    for number in range(60):
        before = sample_of(number)
        after = augment_sample(before, (1, 0, number), STEPS[name])
        boxes, label_map = after["bounding_boxes"]["boxes"], after["segmentation_masks"]
        assert label_map.shape == after["images"].shape[:2]
        assert len(boxes) == len(after["bounding_boxes"]["classes"])
        moved += bool(len(boxes)) and not np.array_equal(boxes, before["bounding_boxes"]["boxes"])
        if not (label_map == OBJECT).any():
            dropped += not len(boxes)
            assert not len(boxes) or (boxes[0, 2:] - boxes[0, :2]).min() < (8 if name in (*TURNED, "all") else 1)
            continue
        inwards = (box_of(label_map) - boxes[0]) * (1, 1, -1, -1)
        assert inwards.min() > (-1.5 if name == "all" else -0.501)  # a map is rounded at each of its moves
        assert name in (*TURNED, "all") or inwards.max() < 0.501
    assert moved > 15 or name == "colours"
    assert dropped > 0 or name not in ("crop", "crop_smaller", "TranslateX", "TranslateY")


@pytest.mark.parametrize("name", STEPS)
def test_points_stay_on_their_pixels(name):
    """A map that has its own number in each pixel tells where the pixel at a moved point came from."""
    numbers = np.arange(HEIGHT * WIDTH, dtype="int32").reshape(HEIGHT, WIDTH) + 256
    inside = 0
    for number in range(20):
        before = sample_of(number) | {"segmentation_masks": numbers}
        after = augment_sample(before, (1, 0, number), STEPS[name])
        for point, (x, y) in zip(before["keypoints"], np.rint(after["keypoints"]).astype(int), strict=True):
            height, width = after["segmentation_masks"].shape
            if 0 <= x < width and 0 <= y < height and after["segmentation_masks"][y, x] != 255:
                row, column = np.divmod(after["segmentation_masks"][y, x] - 256, WIDTH)
                slack = {"flip": 0, "colours": 0, "crop_smaller": 2}.get(name, 1.5)
                assert np.abs((column, row) - point).max() <= slack
                inside += 1
    assert inside > 10


@dataclass(frozen=True)
class SeveralOperations(RandAugment):
    """All that moves pixels, one after the other."""

    def sample(self, generator):
        return [("Rotate", 20.0), ("Equalize", None), ("TranslateX", -0.2), ("ShearY", 0.2)]


@pytest.mark.parametrize("name", ["crop", "flip", *GEOMETRIC, "several"])
def test_the_map_moves_as_the_image_does(name):
    """A white rectangle on black: its pixels in the image are those in the map, but for edges that are interpolated."""
    steps = {**STEPS, "several": [SeveralOperations(fill=(0, 0, 0))]}[name]
    for number in range(10):
        sample = sample_of(number)
        is_object = sample["segmentation_masks"] == OBJECT
        sample["images"] = np.uint8(255 * is_object)[..., None].repeat(3, axis=-1)
        after = augment_sample(sample, (1, 0, number), steps)
        differs = (after["images"][..., 0] > 127) != (after["segmentation_masks"] == OBJECT)
        assert differs.mean() < 0.03
        assert name == "flip" or not np.array_equal(after["segmentation_masks"], sample["segmentation_masks"])


def test_a_whole_translation_and_a_flip_are_exact():
    before = sample_of(3)
    before["bounding_boxes"] = {
        "boxes": [[10, 5, 30, 20], [0, 0, 8, 8], [50, 30, 56, 40], [-1, -1, -1, -1]],
        "classes": [1, 2, 3, -1],
    }
    after = augment_sample(before, (0, 0, 0), [Shift(-8, 3), RandomFlip(1.0)])
    np.testing.assert_array_equal(after["bounding_boxes"]["boxes"], [[34, 8, 54, 23], [8, 33, 14, 40]])  # one has left
    np.testing.assert_array_equal(after["bounding_boxes"]["classes"], [1, 3])
    expected = np.full((HEIGHT, WIDTH), 255)
    expected[3:, : WIDTH - 8] = before["segmentation_masks"][: HEIGHT - 3, 8:]
    np.testing.assert_array_equal(after["segmentation_masks"], expected[:, ::-1])
    np.testing.assert_array_equal(after["keypoints"], (WIDTH - 1, 0) + (before["keypoints"] + (-8, 3)) * (-1, 1))


@pytest.mark.parametrize(
    "transformation",
    [
        FlipLeftRight(HEIGHT, WIDTH),
        CropAndResize(30, 20, 3, 5, 17, 41),
        CropAndResize(30, 20, 0, 0, 39, 55),  # odd: no centre of a pixel is on an edge, where rounding decides
        Affine(HEIGHT, WIDTH, rotation(-27.3, WIDTH, HEIGHT)),
        Affine(HEIGHT, WIDTH, (1, 0.29, 0, 0, 1, 0)),
        Affine(HEIGHT, WIDTH, (1, 0, 11.3, 0, 1, 0)),
    ],
    ids=repr,
)
def test_label_maps_are_those_of_pillows_nearest_neighbour(transformation, rng):
    label_map = rng.integers(0, 9, (HEIGHT, WIDTH), dtype="uint8")
    image, size = Image.fromarray(label_map), (transformation.width, transformation.height)
    if isinstance(transformation, CropAndResize):
        left, top = transformation.left, transformation.top
        box = (left, top, left + transformation.crop_width, top + transformation.crop_height)
        expected = image.crop(box).resize(size, Image.Resampling.NEAREST)
    else:
        expected = image.transform(size, Image.Transform.AFFINE, transformation.matrix, fillcolor=255)
    found = move_label_map(label_map, transformation.matrix, size[::-1])
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_rotation_is_pillows():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype="uint8"))
    for degrees in (-30, -0.1, 0, 12.34, 29):
        found = Affine(HEIGHT, WIDTH, rotation(degrees, WIDTH, HEIGHT), (1, 2, 3)).apply(image)
        expected = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(1, 2, 3))
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("name", ["all", "colours"])
def test_annotations_do_not_change_the_image(name):
    for number in range(10):
        sample = sample_of(number)
        expected = augment_image(to_pil(sample["images"]), (4, 2, number), STEPS[name], (16, 12))
        for entries in (sample, {"images": sample["images"]}):
            found = augment_sample(entries, (4, 2, number), STEPS[name], (16, 12))
            np.testing.assert_array_equal(found["images"], expected)
            assert found.keys() == entries.keys()


def test_a_final_resize_moves_annotations():
    for size in ((20, 28), (60, 30)):
        after = augment_sample(sample_of(8), (0, 0, 0), [], size)
        assert after["images"].shape[:2] == after["segmentation_masks"].shape == size
        assert np.abs(box_of(after["segmentation_masks"]) - after["bounding_boxes"]["boxes"][0]).max() < 0.501


def test_numbers_that_are_not_whole_are_rounded_and_clipped():
    images = np.array([[[-3.0], [1.6], [300.0]]], "float32")
    found = augment_sample({"images": images}, (0, 0, 0), [RandomFlip(1.0)])["images"]
    assert found.ravel().tolist() == [255, 2, 0] and found.dtype == "uint8"


@pytest.mark.parametrize(
    ("steps", "changes", "message"),
    [
        ([Unknown()], {}, r"Unknown cannot move `bounding_boxes`, .*`moves_pixels = False`.*GeometricStep"),
        ([UnknownOnArrays()], {}, "UnknownOnArrays cannot move"),
        ([RandomFlip], {}, r"write `RandomFlip\(\)`"),
        ([RandomFlip()], {"depth": np.zeros((HEIGHT, WIDTH))}, r"`depth` cannot be moved .* shape \(40, 56\)"),
        ([RandomFlip()], {"images": np.zeros((2, 8, 8, 3))}, r"one image of shape .* Received: .*\(2, 8, 8, 3\)"),
        ([RandomFlip()], {"images": np.zeros((8, 8, 4))}, "three channels or one"),
        ([], {"bounding_boxes": np.zeros((1, 4))}, "a dict of `boxes` and `classes`. Received: ndarray"),
        ([], {"bounding_boxes": {"boxes": [[0, 0, 4]], "classes": [1]}}, r"the shape \(objects, 4\)"),
        ([], {"bounding_boxes": {"boxes": [[0, 0, 4, 4]], "classes": [1, 2]}}, "one row per box"),
        ([], {"bounding_boxes": {"boxes": [[0, 0, np.nan, 4]], "classes": [1]}}, r"left <= right.*Received: \[0.0, 0"),
        ([], {"bounding_boxes": {"boxes": [[5, 0, 4, 4]], "classes": [1]}}, r"left <= right.*\[5.0, 0.0, 4.0, 4.0\]"),
        ([], {"segmentation_masks": np.zeros((8, 8), "uint8")}, r"Expected the shape \(40, 56\) or \(40, 56, 1\)"),
        ([], {"segmentation_masks": np.zeros((40, 56), bool)}, "a type that can hold 255.*Received: bool"),
        ([], {"keypoints": np.zeros((3, 3))}, r"the shape \(points, 2\)"),
    ],
)
def test_refuses(steps, changes, message):
    with pytest.raises(ValueError, match=message):
        augment_sample(sample_of(0) | changes, (0, 0, 0), steps)


def test_an_image_without_annotations_goes_through_any_step():
    sample = {"images": sample_of(0)["images"], "labels": 3, "weights": np.ones(5)}
    assert augment_sample(sample, (0, 0, 0), [Unknown()])["labels"] == 3


def test_no_objects_and_no_points():
    sample = sample_of(0) | {"bounding_boxes": {"boxes": [], "classes": []}, "keypoints": []}
    after = augment_sample(sample, (0, 0, 0), STEPS["all"])
    assert after["bounding_boxes"]["boxes"].shape == (0, 4) and after["keypoints"].shape == (0, 2)


def test_cutmix_mixes_label_maps_as_images(rng):
    step = MixUpOrCutMix(mixup=0.0, label_smoothing=0.0)
    maps = rng.integers(0, 200, (6, 20, 24, 1), dtype="uint8")
    images, labels, mixed = step.augment_label_maps(
        maps.astype("float32"), np.eye(6), maps.copy(), np.random.default_rng(1)
    )
    np.testing.assert_array_equal(mixed, images)
    assert (mixed != maps).any() and (mixed == maps).any()
    expected = step.augment_batch(maps.astype("float32"), np.eye(6), np.random.default_rng(1))
    np.testing.assert_array_equal(images, expected[0])
    np.testing.assert_array_equal(labels, expected[1])


@pytest.mark.parametrize(
    ("step", "names", "message"),
    [
        (MixUpOrCutMix(), ("segmentation_masks",), "MixUp cannot mix `segmentation_masks`.* `mixup=0`"),
        (MixUpOrCutMix(mixup=0.0), ("bounding_boxes", "segmentation_masks"), "cannot mix `bounding_boxes`"),
    ],
)
def test_mixing_refuses(step, names, message):
    with pytest.raises(ValueError, match=message):
        step.check_annotations(names)
