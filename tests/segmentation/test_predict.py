"""Whole-image and sliding-window inference, for images of any size."""

import keras
import numpy as np
import pytest

from keras_convnext.segmentation import predict
from keras_convnext.segmentation.predict import window_starts

CROP, STRIDE = 16, 11


@pytest.fixture
def model(rng):
    """A 3x3 convolution: its outputs at the edge of a window differ from those within."""
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    model.set_weights([rng.normal(size=weight.shape).astype("float32") for weight in model.get_weights()])
    return model


@pytest.fixture
def run_in_torch(model):
    """A function: the same convolution of one image, by torch."""
    import torch

    kernel, bias = (torch.from_numpy(np.asarray(weight).copy()) for weight in model.get_weights())

    def run(image):
        x = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
        y = torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1)
        return y[0].numpy().transpose(1, 2, 0)

    return run


def mmsegmentations(run, image):
    """The averaged logits, window by window as mmsegmentation's `slide_inference` visits them."""
    height, width, _ = image.shape
    total, counts = 0, np.zeros((height, width, 1))
    for row in range(max(height - CROP + STRIDE - 1, 0) // STRIDE + 1):
        for column in range(max(width - CROP + STRIDE - 1, 0) // STRIDE + 1):
            bottom, right = min(row * STRIDE + CROP, height), min(column * STRIDE + CROP, width)
            top, left = max(bottom - CROP, 0), max(right - CROP, 0)
            logits = run(image[top:bottom, left:right])
            total = total + np.pad(logits, ((top, height - bottom), (left, width - right), (0, 0)))
            counts[top:bottom, left:right] += 1
    assert counts.min() >= 1
    return total / counts


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (50, 33), (10, 30)])
def test_a_sliding_window_equals_mmsegmentations(model, run_in_torch, rng, size):
    image = rng.normal(size=(*size, 3)).astype("float32")
    logits = mmsegmentations(run_in_torch, image)
    found = predict(model, image, mode="slide", crop=CROP, stride=STRIDE, probabilities=True)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    classes = predict(model, image, mode="slide", crop=CROP, stride=STRIDE)
    assert classes.dtype == "int32"
    np.testing.assert_array_equal(classes, logits.argmax(-1))


def test_the_whole_image_and_bytes(model, run_in_torch, rng):
    image = rng.integers(0, 256, (21, 34, 3)).astype("uint8")
    expected = run_in_torch(image.astype("float32")).argmax(-1)
    np.testing.assert_array_equal(predict(model, image), expected)


def test_batches_have_one_shape_whatever_the_images_size(model, rng, monkeypatch):
    shapes, run = set(), model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda batch: shapes.add(batch.shape) or run(batch))
    for size in ((16, 16), (17, 40), (50, 33)):
        predict(model, rng.normal(size=(*size, 3)), mode="slide", crop=CROP, batch_size=3)
    assert shapes == {(3, CROP, CROP, 3)}


def test_the_window_of_the_authors_evaluation():
    assert window_starts(512, 512, 341) == [0]
    assert window_starts(683, 512, 341) == [0, 171]
    assert window_starts(2048, 512, 341) == [0, 341, 682, 1023, 1364, 1536]


def test_resizes_to_a_shorter_side_and_back(model, run_in_torch):
    import torch

    image = np.random.default_rng(1).normal(size=(20, 30, 3)).astype("float32")

    def resize(x, size):
        x = torch.from_numpy(x.transpose(2, 0, 1)[None].copy())
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear")[0].numpy().transpose(1, 2, 0)

    logits = resize(run_in_torch(resize(image, (10, 15))), (20, 30))
    np.testing.assert_array_equal(predict(model, image, shorter_side=10), logits.argmax(-1))


@pytest.mark.once
def test_channels_first_models_take_channels_last_images(smallest, randomize, images):
    model = randomize(smallest(data_format="channels_first"))
    image = images(20, 34, 3)
    found = predict(model, image, probabilities=True)
    assert found.shape == (20, 34, 5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 4)), {}, r"shape \(height, width, channels\). Received: shape \(4, 4\)"),
        (np.zeros((1, 4, 4, 3)), {}, "Received: shape"),
        (np.zeros((4, 0, 3)), {}, "Received: shape"),
        (np.full((4, 4, 3), "a"), {}, "array of numbers"),
        (np.full((4, 4, 3), np.nan), {}, "must not contain NaN or Inf"),
        (np.zeros((4, 4, 3)), {"mode": "tile"}, "`mode` must be one of 'whole', 'slide'"),
        (np.zeros((4, 4, 3)), {"crop": 8, "stride": 9}, "`stride` must not be above `crop`"),
        (np.zeros((4, 4, 3)), {"batch_size": 0}, "`batch_size`"),
    ],
)
def test_refuses_wrong_images_and_arguments(model, image, options, message):
    with pytest.raises(ValueError, match=message):
        predict(model, image, **options)


def test_a_model_of_a_fixed_size_says_how_it_takes_another_one():
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    with pytest.raises(ValueError, match=r"16 x 16 pixels .* the image has 20 x 24.*`mode=\"slide\"` with `crop=16`"):
        predict(model, np.zeros((20, 24, 3)))
    with pytest.raises(ValueError, match="the windows have 12 x 12"):
        predict(model, np.zeros((20, 24, 3)), mode="slide", crop=12)
    assert predict(model, np.zeros((20, 24, 3)), mode="slide", crop=16).shape == (20, 24)
