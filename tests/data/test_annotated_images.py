"""Annotations of images: boxes, masks and label maps; and the letterbox that resizes them."""

from functools import partial

import numpy as np
import pytest

from keras_convnext.data import (
    AnnotatedImages,
    Annotation,
    ImageData,
    as_segmentation,
    letterbox,
    mask_boxes,
    paint_label_map,
    split_validation,
    with_validation,
)

pytestmark = pytest.mark.once

NAMES = ("cat", "dog")


def annotated(count=20):
    """Images of one pixel that carry their own number, as their box does."""
    annotations = tuple(Annotation([[0, 0, index + 1, 1]], [index % 2]) for index in range(count))
    return AnnotatedImages(np.arange(count, dtype="uint8").reshape(-1, 1, 1, 1), annotations, NAMES)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0, 0, 4, np.nan]], r"boxes of finite numbers.*Received: \[0\.0, 0\.0, 4\.0, nan\]"),
        ([[0, 0, np.inf, 4]], "boxes of finite numbers"),
        ([[4, 0, 2, 4]], r"right > left.*Received: \[4\.0, 0\.0, 2\.0, 4\.0\]"),
        ([[0, 4, 4, 4]], "bottom > top"),
        ([[0, 0, 4]], r"boxes of shape \(objects, 4\).*Received: \(1, 3\)"),
        ([[0, 0, 4, 4]] * 2, r"Received: \(2, 4\), \(1,\), \(2,\)"),
    ],
)
def test_refuses_boxes(boxes, message):
    with pytest.raises(ValueError, match=message):
        Annotation(boxes, [0])


@pytest.mark.parametrize("of_class", [-1, 2])
def test_refuses_a_class_without_a_name(of_class):
    with pytest.raises(ValueError, match=rf"from 0 to 1.*Received: \[{of_class}\] in the annotation of image 1"):
        AnnotatedImages(["a", "b"], (Annotation(), Annotation([[0, 0, 1, 1]], [of_class])), NAMES)


def test_refuses_an_image_without_an_annotation():
    with pytest.raises(ValueError, match="Received: 1 annotations of 2 images"):
        AnnotatedImages(["a", "b"], (Annotation(),), NAMES)


def test_masks_and_label_maps_may_be_computed_when_asked_for():
    calls = []
    annotation = Annotation([[0, 0, 1, 1]], [0], masks=lambda: calls.append("masks") or np.ones((1, 1, 1), bool))
    assert annotation.has_masks and not annotation.has_label_map and annotation.label_map is None and not calls
    assert annotation.masks.shape == (1, 1, 1)
    assert calls == ["masks"]


def test_take_keeps_images_and_annotations_together():
    taken = annotated().take(np.array([7, 3]))
    assert taken.pixels[:, 0, 0, 0].tolist() == [7, 3]
    assert [one.boxes[0, 2] for one in taken.annotations] == [8, 4]


def test_a_tenth_becomes_validation_images_by_seed():
    images = annotated(40)
    train, validation = split_validation(images, seed=3)
    numbers = [part.pixels[:, 0, 0, 0].tolist() for part in (train, validation)]
    assert len(validation) == 4 and sorted(numbers[0] + numbers[1]) == list(range(40))
    assert [one.boxes[0, 2] - 1 for one in validation.annotations] == numbers[1]
    sampled = [split_validation(images, seed=seed)[1].pixels.tolist() for seed in (3, 4)]
    assert sampled[0] == validation.pixels.tolist() != sampled[1]
    data = with_validation(ImageData(images, bad_records=("a",), clipped_boxes=2), seed=3)
    assert (len(data.validation), data.bad_records, data.clipped_boxes) == (4, ("a",), 2)
    with pytest.raises(ValueError, match="There are not two images"):
        split_validation(annotated(1))


def test_mask_boxes_surround_the_masks(rng):
    masks = rng.random((5, 9, 7)) > 0.9
    masks[:, 4, 3] = True
    for box, mask in zip(mask_boxes(masks), masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    with pytest.raises(ValueError, match="a mask without pixels"):
        mask_boxes(np.zeros((1, 4, 4), bool))


def test_the_largest_mask_is_painted_first():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :1, :1] = masks[1] = masks[2, :2, :2] = True
    painted = paint_label_map(masks, np.array([5, 6, 7]))
    assert painted.tolist() == [[5, 7, 6, 6], [7, 7, 6, 6], [6] * 4, [6] * 4]


def test_segmentation_view_has_the_background_as_class_0():
    masks = np.zeros((1, 2, 2), bool)
    masks[0, 1] = True
    annotations = (Annotation([[0, 1, 2, 2]], [1], partial(masks.copy)), Annotation(masks=masks[:0]))
    data = as_segmentation(ImageData(AnnotatedImages(["a", "b"], annotations, NAMES)))
    assert data.class_names == ("background", *NAMES) and data.test is None
    assert data.train.annotations[0].label_map.tolist() == [[0, 0], [2, 2]]
    assert data.train.annotations[0].classes.tolist() == [2]
    assert data.train.annotations[1].label_map.tolist() == [[0, 0], [0, 0]]
    assert as_segmentation(data) is data


def test_segmentation_view_needs_masks():
    images = AnnotatedImages(["a.png"], (Annotation([[0, 0, 1, 1]], [0]),), NAMES)
    with pytest.raises(ValueError, match=r"a\.png: expected a mask for each object"):
        as_segmentation(ImageData(images))


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (90, 40), (100, 60)])
@pytest.mark.parametrize("shape", [(50, 30), (7, 80), (640, 480)])
def test_letterbox_keeps_boxes_on_their_objects(shape, size):
    """The box of the resized rectangle equals the resized box to a pixel; so do two keypoints, its corners."""
    height, width = shape
    box = np.array([width // 4, height // 4, width - 1, height - 2])
    left, top, right, bottom = box
    label_map = np.zeros(shape, "uint8")
    label_map[top:bottom, left:right] = 1
    image = np.repeat(200 * label_map[..., None], 3, axis=-1)
    boxes = {"boxes": box[None], "classes": np.array([1])}
    sample = {
        "images": image,
        "bounding_boxes": boxes,
        "segmentation_masks": label_map,
        "keypoints": box.reshape(2, 2) - 0.5,
    }
    result = letterbox(sample, size)
    assert result["images"].shape == (*size, 3) and result["segmentation_masks"].shape == size
    moved = result["bounding_boxes"]["boxes"][0]
    np.testing.assert_allclose(mask_boxes(result["segmentation_masks"][None] == 1)[0], moved, atol=0.5 + 1e-4)
    np.testing.assert_allclose(result["keypoints"].reshape(-1) + 0.5, moved, rtol=1e-5)
    inside = result["segmentation_masks"] != 255
    assert not result["images"][~inside].any()
    rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert rows == size[0] or columns == size[1]
    assert abs(rows * width - columns * height) <= max(shape) / 2  # the aspect ratio, to half a pixel of the result


def test_letterbox_to_its_own_size_changes_nothing(rng):
    image = rng.random((8, 9, 1), dtype="float32")
    assert letterbox({"images": image}, (8, 9))["images"] is image


def test_letterbox_clips_boxes_and_leaves_out_those_outside():
    boxes = {"boxes": np.array([[-4.0, 2, 30, 6], [20, 0, 30, 4]]), "classes": np.array([1, 0])}
    moved = letterbox({"images": np.zeros((16, 16, 3)), "bounding_boxes": boxes}, (32, 32))["bounding_boxes"]
    assert moved["boxes"].tolist() == [[0, 4, 32, 12]] and moved["classes"].tolist() == [1]


def test_letterbox_refuses_a_label_map_of_another_size():
    sample = {"images": np.zeros((8, 8, 3)), "segmentation_masks": np.zeros((8, 9))}
    with pytest.raises(ValueError, match=r"8x8 pixels.*Received: 8x9"):
        letterbox(sample, (4, 4))
