"""Recipes: what they give to plain `compile` and `fit`."""

import json
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest

from keras_convnext import RECIPES, Recipe
from keras_convnext.data import Batches, split_validation
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training import AdamW, Run, RunRecord, WarmupCosine


def test_training_dataset_is_shuffled_by_the_seed_and_whole(recipe, few_digits):
    batches = replace(recipe, seed=7, batch_size=10).dataset(few_digits.train)
    reference = Batches(few_digits.train, 10, shuffle=True, seed=7)
    assert len(batches) == 7
    for index in range(7):
        np.testing.assert_array_equal(batches[index][0], reference[index][0])
        np.testing.assert_array_equal(batches[index][1], reference[index][1])


def test_other_datasets_have_all_images_in_order(recipe, few_digits):
    batches = recipe.dataset(few_digits.test, training=False)
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(x, few_digits.test.pixels)
    np.testing.assert_array_equal(y.argmax(-1), few_digits.test.labels)


@pytest.mark.parametrize("training", [True, False])
def test_dataset_resizes(recipe, few_digits, training):
    x, _ = replace(recipe, image_size=(12, 10)).dataset(few_digits.test, training)[0]
    assert x.shape == (16, 12, 10, 1)


def test_dataset_resizes_as_resize_and_crop_does(recipe, few_digits):
    x, _ = replace(recipe, image_size=(12, 12)).dataset(few_digits.test, training=False)[0]
    np.testing.assert_array_equal(x[3], ResizeAndCrop(12, 12)(few_digits.test.pixels[3]))


def test_compile_gives_the_schedule_of_the_whole_training(recipe, make_model):
    model = make_model()
    recipe.compile(model, steps_per_epoch=5)
    assert type(model.optimizer) is AdamW
    assert model.optimizer.weight_decay == recipe.weight_decay
    schedule = model.optimizer._learning_rate
    assert isinstance(schedule, WarmupCosine)
    assert schedule.get_config() == {"peak": 0.02, "total_steps": 20, "warmup_steps": 5, "minimum": 1e-6}


@pytest.mark.parametrize("warmup_epochs, epochs, steps", [(0, 3, 0), (0.5, 3, 5), (1, 1, 10), (20, 3, 30)])
def test_warmup_is_counted_in_steps_and_no_longer_than_the_training(make_model, recipe, warmup_epochs, epochs, steps):
    model = make_model()
    replace(recipe, warmup_epochs=warmup_epochs, epochs=epochs).compile(model, steps_per_epoch=10)
    assert model.optimizer._learning_rate.warmup_steps == steps


def smoothed_cross_entropy(outputs, labels, smoothing, are_logits):
    """The mean over images, in NumPy."""
    outputs = outputs.astype("float64")
    logs = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True)) if are_logits else np.log(outputs)
    targets = np.eye(10)[labels] * (1 - smoothing) + smoothing / 10
    return -(targets * logs).sum(-1).mean()


@pytest.mark.parametrize(
    "activation, is_loaded", [(None, False), (None, True), ("linear", False), ("softmax", False), ("softmax", True)]
)
def test_loss_and_accuracy_are_those_of_the_outputs(
    recipe, make_model, few_digits, tmp_path, rng, activation, is_loaded
):
    model = make_model(activation=activation)
    model.get_layer("head").kernel.assign(0.3 * rng.normal(size=(16, 10)))
    if is_loaded:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
    recipe = replace(recipe, label_smoothing=0.2, batch_size=32)
    recipe.compile(model, steps_per_epoch=1)
    batches = recipe.dataset(few_digits.test, training=False)
    scores = model.evaluate(batches, verbose=0, return_dict=True)
    outputs, labels = model.predict(batches, verbose=0), few_digits.test.labels
    expected = smoothed_cross_entropy(outputs, labels, 0.2, are_logits=activation != "softmax")
    np.testing.assert_allclose(scores["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(scores["accuracy"], (outputs.argmax(-1) == labels).mean(), rtol=1e-6)


def test_plain_compile_and_fit(recipe, make_model, few_digits, tmp_path):
    recipe = recipe.lasting(12)
    run = Run.create(tmp_path / "run", {})
    images, _ = split_validation(few_digits.train)
    train = recipe.dataset(images)
    model = make_model()
    recipe.compile(model, steps_per_epoch=len(train))
    history = model.fit(
        train,
        epochs=recipe.epochs,
        validation_data=recipe.dataset(few_digits.test, training=False),
        callbacks=recipe.callbacks(run),
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert all(np.isfinite(values).all() for values in history.values())
    assert int(model.optimizer.iterations) == recipe.epochs * len(train)
    assert run.last_state.name == "epoch-12"
    assert run.load_model().num_classes == 10


def test_callbacks_are_a_record_of_the_run(recipe, tmp_path):
    run = Run(tmp_path)
    (record,) = recipe.callbacks(run)
    assert isinstance(record, RunRecord)
    assert record.run is run


def test_frozen_weights_stay(recipe, make_model, few_digits):
    model = make_model()
    model.backbone.trainable = False
    train = recipe.dataset(few_digits.train)
    recipe.compile(model, steps_per_epoch=len(train))
    before = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}
    model.fit(train, epochs=1, verbose=0)
    for weight in model.weights:
        is_same = np.array_equal(keras.ops.convert_to_numpy(weight.value), before[weight.path])
        assert is_same == (not weight.path.startswith("head")), weight.path


@pytest.mark.parametrize("epochs, warmup_epochs", [(4, 1), (8, 2), (1, 0.25)])
def test_lasting_keeps_the_share_of_the_warmup(recipe, epochs, warmup_epochs):
    assert recipe.lasting(epochs) == replace(recipe, epochs=epochs, warmup_epochs=warmup_epochs)


@pytest.mark.parametrize("image_size", [None, (12, 10)])
def test_survives_json(recipe, image_size):
    recipe = replace(recipe, image_size=image_size)
    assert Recipe.from_config(json.loads(json.dumps(asdict(recipe)))) == recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_recipes_are_sound(recipe):
    assert isinstance(recipe, Recipe)
    assert recipe.source
    assert 0 <= recipe.warmup_epochs < recipe.epochs
    assert 0 <= recipe.min_learning_rate < recipe.learning_rate
    assert 0 <= recipe.label_smoothing < 1
    assert 0 <= recipe.drop_path_rate < 1
