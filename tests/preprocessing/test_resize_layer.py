"""Resizing in the graph against Pillow's."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.preprocessing import ResizeAndCrop, ResizeAndCropLayer, preprocessor

SETTINGS = [
    (ResizeAndCrop(224, 224, 0.875), 2e-4),
    (ResizeAndCrop(384, 384, squash=True), 2e-4),
    (ResizeAndCrop(224, 224, 224 / 236, interpolation="bilinear"), 2e-3),
    (ResizeAndCrop(48, 100, 0.9), 2e-4),
    (ResizeAndCrop(64, 64), 2e-4),
]


@pytest.mark.parametrize(("transform", "share"), SETTINGS)
def test_is_as_far_from_pillow_as_its_description_says(photographs, numpy_of, transform, share):
    layer = ResizeAndCropLayer.like(transform)
    differences = []
    for photograph in photographs[:7]:
        picture = np.asarray(photograph)
        found = numpy_of(layer, picture[None].astype("float32"))[0]
        differences.append(np.abs(found - transform(picture)).ravel())
    differences = np.concatenate(differences)
    assert differences.max() <= 1
    assert (differences > 0).mean() < share


def test_a_picture_of_the_size_stays_as_it_is(numpy_of, rng):
    picture = rng.integers(0, 256, (2, 24, 24, 3)).astype("float32")
    np.testing.assert_array_equal(numpy_of(ResizeAndCropLayer(24, 24), picture), picture)


def test_a_served_model_takes_pictures_of_any_size(photographs, randomize, tmp_path):
    """Saved and loaded too; where the backend compiles with free sizes, they are free."""
    transform = preprocessor("convnext_mini", 32)
    classifier = randomize(ConvNeXtClassifier.from_preset("convnext_mini", num_classes=5))
    served = keras.Sequential([keras.Input((None, None, 3)), ResizeAndCropLayer.like(transform), classifier])
    served.save(tmp_path / "served.keras")
    served = keras.saving.load_model(tmp_path / "served.keras")
    for photograph in photographs[6:]:
        picture = np.asarray(photograph)
        found = served.predict(picture[None].astype("float32"), verbose=0)
        expected = classifier.predict(transform(picture)[None].astype("float32"), verbose=0)
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_refuses_channels_first():
    layer = ResizeAndCropLayer(8, 8)
    with pytest.raises(ValueError, match=r"images: expected .* Received: \(2, 3, 16, 16\), which looks like"):
        layer(np.zeros((2, 3, 16, 16), "float32"))


def test_the_configuration_has_every_argument():
    layer = ResizeAndCropLayer(8, 12, 0.9, True, "bilinear", name="resize")
    again = ResizeAndCropLayer.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.compute_output_shape((None, None, None, 3)) == (None, 8, 12, 3)


@pytest.mark.parametrize("changes", [{"crop_pct": 0}, {"interpolation": "nearest"}])
def test_refuses_settings_out_of_range(changes):
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}` must be"):
        ResizeAndCropLayer(8, 8, **changes)
