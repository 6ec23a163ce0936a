"""Helpers of the model tests."""

import keras
import numpy as np
import pytest

from keras_convnext.layers import StochasticDepth

# The first imports torch; the second exports what Keras exports from TensorFlow and JAX.
collect_ignore = ["test_export.py"] if keras.backend.backend() == "torch" else ["test_torch_export.py"]


@pytest.fixture
def stochastic_depths():
    """A function: the stochastic depth layers of a model that drop anything, in their order."""

    def layers(model):
        return [layer for layer in model._flatten_layers() if isinstance(layer, StochasticDepth) and layer.rate]

    return layers


@pytest.fixture
def set_masks(stochastic_depths):
    """A function: sets all seed generators of a model to fixed states, so that two models draw equal masks."""

    def set_states(model):
        for number, layer in enumerate(stochastic_depths(model)):
            layer.seed_generator.state.assign(np.array([17, number], dtype=layer.seed_generator.state.dtype))

    return set_states


@pytest.fixture
def with_policy():
    """A function that sets Keras's global dtype policy; it is set back after the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
