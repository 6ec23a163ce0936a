"""The metric that keeps each image's prediction."""

import keras
import numpy as np
import pytest

from keras_convnext.data import Batches
from keras_convnext.training import Predictions, evaluate


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_keeps_what_predict_gives_in_the_order_of_the_images(make_model, few_digits, randomize, activation):
    model = randomize(make_model(activation=activation))
    kept = Predictions(32, from_logits=activation is None)
    scores = evaluate(model, Batches(few_digits.test, 12), verbose=0, metrics=[kept])
    outputs = model.predict(Batches(few_digits.test, 12), verbose=0).astype("float64")
    if activation is None:
        outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
        outputs /= outputs.sum(-1, keepdims=True)
    np.testing.assert_array_equal(kept.classes, outputs.argmax(-1))
    np.testing.assert_allclose(kept.probabilities, outputs.max(-1), rtol=1e-4)
    assert scores["accuracy"] == pytest.approx((kept.classes == few_digits.test.labels).mean())
    assert "predictions" not in scores


def test_starts_anew_after_a_reset():
    kept = Predictions(3, from_logits=False)
    kept.update_state(np.eye(2)[[0, 1]], np.array([[0.9, 0.1], [0.2, 0.8]], "float32"))
    kept.reset_state()
    assert kept.classes.shape == (0,)
    kept.update_state(np.eye(2)[[0]], np.array([[0.4, 0.6]], "float32"))
    assert kept.classes.tolist() == [1]
    assert float(kept.result()) == pytest.approx(0.6)


def test_refuses_weights_of_samples():
    with pytest.raises(ValueError, match="no `sample_weight`"):
        Predictions(1).update_state(np.eye(2)[[0]], np.eye(2)[[0]], sample_weight=[1.0])


def test_its_configuration_comes_back():
    config = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Predictions(5, False))
    ).get_config()
    assert config == {"name": "predictions", "count": 5, "from_logits": False}
