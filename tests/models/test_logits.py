"""Whether a model returns logits: by the layer that gives its output, whoever set its activation."""

import keras
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.models import returns_logits


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(None, True), ("linear", True), (keras.activations.linear, True), ("softmax", False), ("sigmoid", False)],
)
def test_of_a_classifier(small_backbone, activation, expected):
    assert returns_logits(ConvNeXtClassifier(small_backbone(), 3, activation=activation)) is expected


def test_an_activation_that_is_set_afterwards_counts(small_backbone):
    model = ConvNeXtClassifier(small_backbone(), 3)
    model.get_layer("head").activation = keras.activations.softmax
    assert not returns_logits(model)


def test_of_other_functional_models(small_backbone):
    model = ConvNeXtClassifier(small_backbone(), 3)
    assert returns_logits(keras.Model(model.input, model.output))
    assert not returns_logits(keras.Model(model.input, keras.layers.Softmax()(model.output)))
    assert not returns_logits(keras.Model(model.input, keras.layers.Activation("softmax")(model.output)))
