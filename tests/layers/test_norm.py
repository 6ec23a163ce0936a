"""The norms by name: their layers, their configurations, and what is refused."""

import keras
import pytest

from keras_convnext.layers.norm import MODEL_NORMS, NORMS, make_norm


@pytest.mark.parametrize("norms", [NORMS, MODEL_NORMS], ids=["inner", "model"])
@pytest.mark.parametrize("norm", NORMS)
def test_each_has_its_epsilon_and_a_gamma_and_survives_a_round_trip(norm, norms):
    layer = make_norm(norm, 1e-3, norms, name="some_name")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) is norms[norm]
    assert again.get_config() == layer.get_config()
    assert (again.epsilon, again.name) == (1e-3, "some_name")
    again.build((2, 4))
    names = ["gamma", "beta"] if norm == "layer_norm" else ["gamma"]
    assert [weight.name for weight in again.weights] == names


def test_refuses_an_unknown_norm():
    with pytest.raises(ValueError, match=r"layer_norm, rms_norm, simple_norm.*norm='batch_norm'"):
        make_norm("batch_norm", 1e-6)
