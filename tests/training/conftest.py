"""A model, a recipe and data small enough to train many times."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, Recipe
from keras_convnext.data import ImageData, load_digits


@pytest.fixture(scope="session")
def make_model():
    """A factory: a classifier of the digits, of two blocks, with drop path, the same at each call.

    Its layer scale starts at 1: what drop path does to the branches shows.
    """

    def make(**options):
        keras.utils.set_random_seed(1)
        backbone = ConvNeXtBackbone(
            depths=(1, 1),
            dims=(8, 16),
            stem_patch_size=1,
            input_shape=(8, 8, 1),
            layer_scale_init_value=1.0,
            drop_path_rate=0.3,
        )
        return ConvNeXtClassifier(backbone, num_classes=10, **options)

    return make


@pytest.fixture(scope="session")
def few_digits():
    """Some digits of each class: 72 to train on, 32 to test with."""
    digits = load_digits()
    return ImageData(digits.train.take(np.arange(72)), test=digits.test.take(np.arange(32)))


@pytest.fixture(scope="session")
def recipe():
    """Four epochs; of `few_digits`, without validation images, three steps each."""
    return Recipe(source="test", epochs=4, batch_size=16, learning_rate=0.02, warmup_epochs=1)


@pytest.fixture(scope="session")
def rows_of():
    """A function: the rows of a run's `history.csv`, as numbers."""
    return lambda run: [{name: float(value) for name, value in row.items()} for row in run.read_csv("history.csv")]
