"""Batches of annotated images: their contents, and `fit` on them."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import AnnotatedBatches, AnnotatedImages, Annotation, EpochOrder, as_segmentation, digit_scenes

NAMES = ("cat", "dog")
BOXES = ([[1, 2, 5, 6], [0, 0, 8, 4], [2, 2, 3, 3]], [[0, 0, 4, 8]], None)


def annotated():
    """Three images of 8x8 pixels: with three objects, of which the last is a group; with one; and with none."""
    crowds = ([False, False, True], None, None)
    annotations = tuple(
        Annotation(boxes, boxes and [1, 0, 0][: len(boxes)], is_crowd=crowd, label_map=np.full((8, 8), 1, "uint8"))
        for boxes, crowd in zip(BOXES, crowds, strict=True)
    )
    pixels = np.arange(3 * 8 * 8 * 3).reshape(3, 8, 8, 3).astype("uint8")
    return AnnotatedImages(pixels, annotations, NAMES)


def test_boxes_are_padded_to_the_largest_number():
    images = annotated()
    batches = AnnotatedBatches(images, 2, (8, 8))
    pixels, targets = batches[0]
    assert (pixels.dtype, pixels.shape, len(batches), batches.most) == (np.float32, (2, 8, 8, 3), 2, 2)
    np.testing.assert_array_equal(pixels, images.pixels[:2])
    np.testing.assert_array_equal(targets["boxes"], [BOXES[0][:2], [BOXES[1][0], [-1] * 4]])
    np.testing.assert_array_equal(targets["classes"], [[1, 0], [1, -1]])
    assert batches[1][1]["boxes"].tolist() == [[[-1] * 4] * 2] and batches[1][1]["classes"].tolist() == [[-1, -1]]


def test_files_of_any_size_are_resized_with_their_boxes(tmp_path):
    for name, size in (("wide.png", (32, 16)), ("high.png", (16, 32))):
        Image.new("RGB", size, (10, 20, 30)).save(tmp_path / name)
    annotations = Annotation([[8, 4, 32, 16]], [1]), Annotation([[0, 0, 16, 16]], [0])
    images = AnnotatedImages([tmp_path / "wide.png", tmp_path / "high.png"], annotations, NAMES)
    pixels, targets = AnnotatedBatches(images, 2, (64, 64))[0]
    assert targets["boxes"][:, 0].tolist() == [[16, 8, 64, 32], [0, 0, 32, 32]]
    filled = [(pixels[index] == (10, 20, 30)).all(-1) for index in range(2)]
    assert filled[0][:32].all() and not filled[0][32:].any() and filled[1][:, :32].all() and not filled[1][:, 32:].any()


def test_label_maps():
    pixels, label_map = AnnotatedBatches(annotated(), 3, (16, 8), target="label_map")[0]
    assert (pixels.shape, label_map.dtype) == ((3, 16, 8, 3), np.int32)
    assert (label_map[:, :8] == 1).all() and (label_map[:, 8:] == 255).all()


def moved(sample, seed):
    """Moves the image and its boxes to the right by the image's index; the largest box is cut."""
    shift = seed[2]
    boxes = sample["bounding_boxes"]["boxes"] + np.float32([shift, 0, shift, 0])
    image = np.roll(sample["images"], shift, axis=1).astype("float32")
    return {"images": image, "bounding_boxes": {**sample["bounding_boxes"], "boxes": boxes}, "seed": seed}


def test_transform_gets_samples_and_seeds():
    seen = []

    def transform(sample, seed):
        seen.append(seed)
        assert sample["images"].dtype == np.uint8 and set(sample) == {"images", "bounding_boxes"}
        return moved(sample, seed)

    batches = AnnotatedBatches(annotated(), 3, (8, 8), transform=transform, seed=5, threads=1)
    batches.epoch = 4
    pixels, targets = batches[0]
    assert seen == [(5, 4, 0), (5, 4, 1), (5, 4, 2)]
    assert targets["boxes"][1, 0].tolist() == [1, 0, 5, 8]
    np.testing.assert_array_equal(pixels[2], np.roll(annotated().pixels[2], 2, axis=1))


def test_a_shuffled_epoch_keeps_images_with_their_boxes():
    batches = AnnotatedBatches(annotated(), 1, (8, 8), shuffle=True, seed=1)
    first = annotated().pixels[:, 0, 0, 0].tolist()
    for epoch in range(3):
        batches.epoch = epoch
        for index in range(3):
            pixels, targets = batches[index]
            number = first.index(int(pixels[0, 0, 0, 0]))
            assert (targets["classes"] >= 0).sum() == (2, 1, 0)[number]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sample: sample["images"] * np.float32(np.nan), "Image 0: Expected finite pixels"),
        (lambda sample: {"boxes": [[0, 0, np.nan, 4]], "classes": [0]}, "Image 0: Expected boxes of finite numbers"),
        (lambda sample: {"boxes": [[0, 0, 4, 4]], "classes": [2]}, r"Expected classes from 0 to 1\. Received: \[2\]"),
        (lambda sample: {"boxes": [[0, 0, 4, 4]] * 3, "classes": [0] * 3}, "Expected 2 boxes or fewer.*Received: 3"),
    ],
)
def test_refuses_what_would_spoil_a_batch(change, message):
    def transform(sample, seed):
        changed = change(sample)
        return {**sample, **({"bounding_boxes": changed} if isinstance(changed, dict) else {"images": changed})}

    batches = AnnotatedBatches(annotated(), 3, (8, 8), transform=transform)
    with pytest.raises(ValueError, match=message):
        batches[0]
    assert isinstance(batches.failure, ValueError)


def test_boxes_without_area_are_left_out_of_a_batch():
    def transform(sample, seed):
        boxes = np.array([[0, 0, 0, 4], [20, 0, 30, 4], [6, 0, 12, 4]], "float32")
        return {**sample, "bounding_boxes": {"boxes": boxes, "classes": np.array([0, 0, 1])}}

    _, targets = AnnotatedBatches(annotated(), 3, (8, 8), transform=transform)[0]
    assert targets["boxes"][:, 0].tolist() == [[6, 0, 8, 4]] * 3 and targets["classes"][0].tolist() == [1, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "masks"}, "`target` must be boxes or label_map"),
        ({"size": (0, 8)}, "`size` must be an integer, at least 1"),
        ({"images": annotated().pixels}, "Expected `AnnotatedImages` with one image or more"),
        ({"images": annotated().take([])}, "Expected `AnnotatedImages` with one image or more"),
        ({"images": AnnotatedImages(["a"], (Annotation(),), NAMES), "target": "label_map"}, r"`data\.as_segmentation`"),
    ],
)
def test_refuses_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        AnnotatedBatches(**{"images": annotated(), "batch_size": 2, "size": (8, 8), **changes})


def test_refuses_a_class_in_a_label_map_that_has_no_name():
    annotation = Annotation(label_map=np.full((8, 8), 2, "uint8"))
    batches = AnnotatedBatches(AnnotatedImages(annotated().pixels[:1], (annotation,), NAMES), 1, (8, 8), "label_map")
    with pytest.raises(ValueError, match=r"Image 0: Expected classes from 0 to 1, or 255.*a label map with 2"):
        batches[0]


class CountBoxes(keras.Model):
    """Its loss is the difference from the number of boxes, which it takes from the targets."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(keras.ops.mean(x, (1, 2)) / 255)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        count = keras.ops.sum(keras.ops.cast(y["classes"] >= 0, "float32"), 1, keepdims=True)
        return keras.ops.mean((y_pred - count) ** 2) + 0 * keras.ops.mean(y["boxes"])


@pytest.fixture(scope="module")
def scenes():
    return digit_scenes(count=10, size=(32, 48))


def test_fit_and_predict_with_boxes(scenes):
    batches = AnnotatedBatches(scenes.train, 4, (32, 32), shuffle=True)
    model = CountBoxes()
    model.compile("sgd")
    options = {"epochs": 2, "shuffle": False, "verbose": 0, "callbacks": [EpochOrder(batches)]}
    losses = model.fit(batches, validation_data=AnnotatedBatches(scenes.test, 2, (32, 32)), **options).history
    assert np.isfinite(losses["loss"] + losses["val_loss"]).all() and losses["loss"][0] != losses["loss"][1]
    assert model.predict(AnnotatedBatches(scenes.train, 4, (32, 32)), verbose=0).shape == (10, 1)
    batches.close()
    with pytest.raises(RuntimeError, match="were closed"):
        batches[0]


def test_fit_with_label_maps(scenes):
    images = as_segmentation(scenes).train
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(len(images.class_names), 1)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255))
    batches = AnnotatedBatches(images, 4, (32, 32), "label_map", shuffle=True)
    assert np.isfinite(model.fit(batches, shuffle=False, verbose=0).history["loss"]).all()
