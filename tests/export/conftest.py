"""A classifier that knows the digits, and float files of it."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.data import load_digits
from keras_convnext.export import export

SUFFIXES = {"torch": (".onnx", ".xml"), "tensorflow": (".tflite", ".xml", ".onnx"), "jax": ()}
"""The endings of the formats that each backend writes and that are quantized. JAX has them written elsewhere."""


def digits_classifier(**changes):
    """A model of two stages that learned the digits for a few epochs: more than 80 % of the test digits are right."""
    keras.utils.set_random_seed(0)
    backbone = ConvNeXtBackbone(
        (1, 1),
        (16, 32),
        kernel_size=3,
        stem_patch_size=1,
        input_shape=(8, 8, 1),
        layer_scale_init_value=None,
        **changes,
    )
    model = ConvNeXtClassifier(backbone, 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(4e-3), loss, metrics=["accuracy"])
    digits = load_digits().train
    model.fit(digits.pixels.astype("float32"), np.asarray(digits.labels), batch_size=32, epochs=4, verbose=0)
    return model


@pytest.fixture(scope="session")
def digits_model():
    """A trained classifier, V1."""
    return digits_classifier()


@pytest.fixture(scope="session")
def digits_model_v2():
    """A trained classifier with Global Response Normalization."""
    return digits_classifier(use_grn=True)


@pytest.fixture(scope="session")
def float_files(digits_model, tmp_path_factory):
    """Float files of the classifier by ending, in each format that this backend writes."""
    folder = tmp_path_factory.mktemp("float")
    names = [str(number) for number in range(10)]
    files = {suffix: folder / f"digits{suffix}" for suffix in SUFFIXES[keras.backend.backend()]}
    for path in files.values():
        export(digits_model, path, class_names=names)
    return files


@pytest.fixture(scope="session")
def calibration():
    """Images and labels to calibrate with."""
    digits = load_digits().train
    return digits.pixels[:200], np.asarray(digits.labels[:200])


@pytest.fixture(scope="session")
def test_digits():
    """Images and labels that no model has seen."""
    digits = load_digits().test
    return digits.pixels, np.asarray(digits.labels)
