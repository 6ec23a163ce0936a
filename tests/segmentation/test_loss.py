"""The loss against torch's cross-entropy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_convnext.segmentation import SegmentationLoss


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, 6, 5, 4)).astype("float32")


@pytest.fixture
def labels(rng):
    labels = rng.integers(0, 4, (2, 6, 5)).astype("uint8")
    labels[0, :3] = 255
    return labels


def torchs(labels, logits, **options):
    import torch

    targets = torch.from_numpy(labels).long()
    return torch.nn.functional.cross_entropy(torch.from_numpy(logits.transpose(0, 3, 1, 2).copy()), targets, **options)


def test_equals_torchs_mean_over_the_annotated_pixels(labels, logits):
    expected = float(torchs(labels, logits, ignore_index=255))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for loss, predicted, targets in (
        (SegmentationLoss(), logits, labels),
        (SegmentationLoss(), logits, labels[..., None].astype("float32")),
        (SegmentationLoss(data_format="channels_first"), logits.transpose(0, 3, 1, 2), labels),
        (SegmentationLoss(from_logits=False), probabilities, labels),
        (SegmentationLoss(ignore_class=7), logits, np.where(labels == 255, 7, labels)),
        (SegmentationLoss(), logits, np.where(labels == 255, 100, labels)),
    ):
        np.testing.assert_allclose(float(loss(targets, predicted)), expected, rtol=1e-5)


def test_sample_weights(labels, logits):
    terms = torchs(labels, logits, ignore_index=255, reduction="none").numpy()
    per_image = np.array([0.5, 2.0], "float32")
    expected = (terms * per_image[:, None, None]).sum() / (labels != 255).sum()
    for weights in (per_image, per_image[:, None, None] * np.ones((1, 6, 5), "float32")):
        np.testing.assert_allclose(float(SegmentationLoss()(labels, logits, weights)), expected, rtol=1e-5)


def test_is_finite_with_a_finite_gradient_where_no_pixel_is_annotated():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1)])
    model.compile(keras.optimizers.SGD(1.0), SegmentationLoss())
    before = model.get_weights()
    history = model.fit(np.ones((2, 4, 4, 1)), np.full((2, 4, 4), 255, "uint8"), verbose=0).history
    assert history["loss"] == [0.0]
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_is_kept_by_serialization(labels, logits):
    loss = SegmentationLoss(ignore_class=3, from_logits=False, name="mine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert again.name == "mine"


def test_half_precision_is_computed_in_float32(labels, logits):
    found = SegmentationLoss()(labels, ops.cast(logits, "bfloat16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6), (2, 6, 5, 4)])
def test_refuses_other_shapes(logits, shape):
    with pytest.raises(ValueError, match=r"Expected labels of shape \(batch, height, width\).*Received: labels"):
        SegmentationLoss()(np.zeros(shape, "uint8"), logits)
