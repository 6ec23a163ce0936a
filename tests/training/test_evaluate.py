"""`evaluate` and the accuracy of each class, against NumPy."""

import keras
import numpy as np
import pytest

from keras_convnext.data import Batches, Images
from keras_convnext.training import ClassAccuracy, evaluate


@pytest.fixture
def images(few_digits):
    return few_digits.test


def test_scores_equal_numpys(make_model, images):
    model = make_model()
    scores = evaluate(model, Batches(images, 12), verbose=0)
    logits = model.predict(images.pixels.astype("float32"), verbose=0)
    right = logits.argmax(-1) == images.labels
    own = np.take_along_axis(logits, images.labels[:, None], 1)
    assert scores["accuracy"] == pytest.approx(right.mean())
    assert scores["top5_accuracy"] == pytest.approx(((logits > own).sum(-1) < 5).mean())
    log_sums = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    assert scores["loss"] == pytest.approx((log_sums - own[:, 0]).mean(), rel=1e-5)
    for one in scores["classes"]:
        chosen = images.labels == int(one["name"])
        assert (one["images"], one["accuracy"]) == (chosen.sum(), pytest.approx(right[chosen].mean()))


def test_fewer_than_five_classes(rng):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    few = Images(rng.uniform(0, 255, (7, 4, 4, 1)), np.arange(7) % 3, ("a", "b", "c"))
    scores = evaluate(model, Batches(few, 4), verbose=0)
    assert scores["top5_accuracy"] == 1
    assert [one["images"] for one in scores["classes"]] == [3, 2, 2]


@pytest.mark.once
def test_smoothing_and_probabilities(make_model, images):
    """A model that gives probabilities has the loss of the one that gives logits."""
    logits, probabilities = make_model(), make_model(activation="softmax")
    for smoothing in (0.0, 0.1):
        expected = evaluate(logits, Batches(images, 12), smoothing, verbose=0)
        assert evaluate(probabilities, Batches(images, 12), smoothing, verbose=0)["loss"] == pytest.approx(
            expected["loss"], rel=1e-4
        )


@pytest.mark.once
def test_how_a_model_was_compiled_stays(make_model, images, tmp_path):
    """Also where it was compiled for labels that are no one-hot vectors; and it is saved and loaded as before."""
    model = make_model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x, y = images.pixels.astype("float32"), images.labels
    model.fit(x, y, epochs=1, verbose=0)
    optimizer = model.optimizer
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    scores = evaluate(model, Batches(images, 12), verbose=0)
    assert scores["accuracy"] == pytest.approx(before["accuracy"])
    assert model.optimizer is optimizer
    assert model.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(before)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").evaluate(x, y, verbose=0) == pytest.approx(
        [before["loss"], before["accuracy"]], rel=1e-5
    )


def test_a_model_compiled_with_the_metric_is_saved_and_loaded(make_model, tmp_path):
    model = make_model()
    model.compile(loss="categorical_crossentropy", metrics=[ClassAccuracy(10)])
    model.save(tmp_path / "model.keras")
    keras.saving.load_model(tmp_path / "model.keras")


def test_the_metric_takes_no_weights_of_samples():
    with pytest.raises(ValueError, match="no `sample_weight`"):
        ClassAccuracy(2).update_state(np.eye(2), np.eye(2), np.ones(2))
