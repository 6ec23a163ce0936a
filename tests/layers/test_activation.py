"""The activations by name: what they compute, how they are kept in a configuration, and what is refused."""

import keras
import numpy as np
import pytest

from keras_convnext.layers.activation import activation_config, gelu_tanh, get_activation
from keras_convnext.layers.gelu import gelu


@keras.saving.register_keras_serializable("test_activation")
def halved(x):
    return x / 2


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "relu"])
def test_equals_the_formula(formulas, numpy_of, rng, name):
    x = (3 * rng.normal(size=1000)).astype("float32")
    np.testing.assert_allclose(numpy_of(get_activation(name), x), getattr(formulas, name)(x), rtol=1e-4, atol=1e-5)


def test_the_approximation_is_told_from_the_exact_gelu(numpy_of):
    x = np.linspace(-3, 3, 100, dtype="float32")
    assert 1e-4 < np.abs(numpy_of(gelu_tanh, x) - numpy_of(gelu, x)).max() < 1e-3


@pytest.mark.parametrize(
    ("activation", "config"),
    [
        ("gelu", "gelu"),
        (gelu, "gelu"),
        (keras.activations.gelu, "gelu"),
        (gelu_tanh, "gelu_tanh"),
        ("swish", "swish"),
        (keras.activations.silu, "silu"),
        (None, "linear"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_configuration_has_the_name(activation, config):
    assert activation_config(activation) == config
    assert activation_config(config) == config


def test_a_registered_function_is_serialized():
    config = activation_config(halved)
    assert get_activation(config) is halved
    assert activation_config(config) == config


@pytest.mark.parametrize("activation", ["gelu_new", 3, {"class_name": "Nothing"}], ids=str)
def test_refuses_what_is_no_activation(activation):
    with pytest.raises(ValueError, match="gelu, gelu_tanh or another name"):
        get_activation(activation)


def test_refuses_a_lambda():
    with pytest.raises(ValueError, match=r"must not be a lambda.*register_keras_serializable"):
        activation_config(lambda x: x)
