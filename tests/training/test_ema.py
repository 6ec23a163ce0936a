"""The moving average in a run: what is evaluated, what is kept, and that the weights themselves are put back."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model
from keras_convnext.training import averaged_weights, create_run, fit


@pytest.fixture(scope="module")
def averaged(tmp_path_factory, make_model, recipe, few_digits):
    """A run with a moving average, its data and its metrics."""
    model, recipe = make_model(), replace(recipe, ema=0.8)
    run = create_run(tmp_path_factory.mktemp("averaged") / "run", model, few_digits, recipe)
    return run, fit(model, few_digits, recipe, run, verbose=0), model


def averages_of(path):
    """The averages that the optimizer of a saved model has, in the weights' order."""
    return [average.numpy() for average in load_model(path).optimizer._model_variables_moving_average]


def test_the_last_average_is_the_optimizers(averaged):
    run, _, model = averaged
    averages = averages_of(run.last_state / "model.keras")
    saved = load_model(run.last_state / "ema.keras")
    for weight, average in zip(saved.trainable_weights, averages, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average)
    own = load_model(run.last_state / "model.keras")
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(own.weights, saved.weights, strict=True))
    for weight, average in zip(model.trainable_weights, averages, strict=True):  # as Keras leaves it after `fit`
        np.testing.assert_array_equal(weight.numpy(), average)


def test_both_are_scored_and_the_best_of_both_are_kept(averaged, few_digits):
    run, metrics, _ = averaged
    rows = run.read_json(f"{run.last_state.relative_to(run.path)}/history.json")
    for name, column in (("model.keras", "val_ema_accuracy"), ("model_raw.keras", "val_accuracy")):
        best = max(row[column] for row in rows)
        loss = min(row[column.replace("accuracy", "loss")] for row in rows if row[column] == best)
        scores = scores_of(run.path / name, few_digits)
        assert scores["accuracy"] == pytest.approx(best, rel=1e-6)
        assert scores["loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["val_accuracy"] == max(row["val_ema_accuracy"] for row in rows)


def scores_of(path, data):
    from keras_convnext.data import Batches, with_validation

    validation = with_validation(data).validation
    return load_model(path).evaluate(Batches(validation, 16), verbose=0, return_dict=True)


def test_the_weights_are_put_back_after_an_error(make_model):
    model = make_model()
    model.compile(keras.optimizers.AdamW(0.1, use_ema=True))
    model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="in between"), averaged_weights(model):
        assert any((a != b).any() for a, b in zip(model.get_weights(), before, strict=True))
        raise RuntimeError("in between")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
