"""Models compiled by a recipe: schedule, optimizer, loss, and which weights learn."""

from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, Recipe
from keras_convnext.preprocessing import Augmentation
from keras_convnext.training import AdamW, WarmupCosine, WarmupPolynomial, WarmupStep
from keras_convnext.training.resume import follow_schedule


def test_compile_gives_the_schedule_of_the_whole_training(recipe, make_model):
    model = make_model()
    recipe.compile(model, steps_per_epoch=5)
    assert type(model.optimizer) is AdamW
    assert model.optimizer.weight_decay == recipe.weight_decay
    schedule = model.optimizer._learning_rate
    assert isinstance(schedule, WarmupCosine)
    assert schedule.get_config() == {"peak": 0.02, "total_steps": 20, "warmup_steps": 5, "minimum": 1e-6}


def test_compile_gives_the_recipes_kind_of_schedule(recipe, make_model):
    common = {"peak": 0.02, "total_steps": 20, "warmup_steps": 5, "warmup_start": 1e-6}
    model = make_model()
    replace(recipe, schedule="polynomial", min_learning_rate=0.0).compile(model, steps_per_epoch=5)
    assert type(model.optimizer._learning_rate) is WarmupPolynomial
    assert model.optimizer._learning_rate.get_config() == {**common, "minimum": 0.0, "power": 1.0}
    replace(recipe, schedule="step", decay_epochs=(2, 3)).compile(model, steps_per_epoch=5)
    schedule = model.optimizer._learning_rate
    assert type(schedule) is WarmupStep
    assert schedule.get_config() == {**common, "warmup_start": 1e-3, "points": [0.5, 0.75], "factor": 0.1}
    rates = keras.ops.convert_to_numpy(schedule(np.array([9, 10, 14, 15])))
    np.testing.assert_allclose(rates, [0.02, 0.002, 0.002, 0.0002], rtol=1e-6)


def test_a_training_that_is_extended_keeps_the_shares_of_its_steps(recipe, make_model):
    model = make_model()
    recipe = replace(recipe, schedule="step", decay_epochs=(2, 3))
    recipe.compile(model, steps_per_epoch=5)
    follow_schedule(model, recipe.with_epochs(8), steps_per_epoch=5)
    rates = keras.ops.convert_to_numpy(model.optimizer._learning_rate(np.array([19, 20, 29, 30])))
    np.testing.assert_allclose(rates, [0.02, 0.002, 0.002, 0.0002], rtol=1e-6)


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


@pytest.mark.parametrize("rate", [0.5, 1e-9])
def test_a_rate_out_of_any_sane_range_warns(recipe, make_model, rate):
    with pytest.warns(UserWarning, match=f"The learning rate is {rate:g}: for AdamW"):
        replace(recipe, learning_rate=rate, min_learning_rate=0.0).compile(make_model(), steps_per_epoch=1)


def test_smoothing_of_mixed_labels_is_not_done_twice(recipe, make_model):
    for augmentation, smoothing in ((None, 0.1), (Augmentation(), 0.0)):
        model = make_model()
        replace(recipe, augmentation=augmentation).compile(model, steps_per_epoch=1)
        assert model.loss.label_smoothing == smoothing


def test_accumulated_parts_make_the_same_updates(recipe, make_model, few_digits):
    """Of four parts of four images each, as of sixteen; epochs have whole updates."""
    recipe = replace(recipe, learning_rate=0.01)
    weights = []
    for accumulate in (1, 4):
        model = ConvNeXtClassifier(make_model().backbone.from_config(without_drop_path(make_model())), num_classes=10)
        model.set_weights(make_model().get_weights())
        changed = replace(recipe, accumulate=accumulate)
        train = changed.dataset(few_digits.train)
        assert len(train) == 4 * accumulate
        changed.compile(model, steps_per_epoch=len(train))
        assert model.optimizer._learning_rate.total_steps == 16
        model.fit(train, epochs=2, shuffle=False, verbose=0)
        assert int(model.optimizer.iterations) == 8
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-4)


def without_drop_path(model):
    return {**model.backbone.get_config(), "drop_path_rate": 0.0}


def test_layer_decay_clipping_beta_2_and_average_reach_the_optimizer(recipe, make_model):
    model = make_model()
    settings = {"layer_decay": 0.5, "layer_decay_kind": "single", "clip_norm": 2.0, "beta_2": 0.9}
    changed = replace(recipe, ema=0.99, ema_warmup=True, **settings)
    changed.compile(model, steps_per_epoch=1)
    rates = {weight.path: model.optimizer.factor(weight) for weight in model.trainable_weights}
    assert rates["head/kernel"] == 1
    assert rates["stage_1_block_0/depthwise_conv/kernel"] == 0.5
    assert rates["stage_0_block_0/depthwise_conv/kernel"] == 0.25
    assert (model.optimizer.global_clipnorm, model.optimizer.beta_2) == (2.0, 0.9)
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum, model.optimizer.ema_warmup) == (True, 0.99, True)


def test_stages_learn_from_their_epoch_on(few_digits):
    """The stem and the first stage never, the second from the third epoch."""
    keras.utils.set_random_seed(0)
    backbone = ConvNeXtBackbone(depths=(1, 1), dims=(8, 16), stem_patch_size=1, input_shape=(8, 8, 1))
    model = ConvNeXtClassifier(backbone, num_classes=10)
    recipe = Recipe("test", 4, 24, 0.01, 0, unfreeze=(2,))
    train = recipe.dataset(few_digits.train)
    recipe.compile(model, steps_per_epoch=len(train))
    seen = [{weight.path: weight.numpy() for weight in model.weights}]
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append({weight.path: weight.numpy() for weight in model.weights})
    )
    model.fit(train, epochs=4, shuffle=False, verbose=0, callbacks=[note])
    for path in seen[0]:
        changed = [(before[path] != after[path]).any() for before, after in pairwise(seen)]
        part = path.split("/")[0]
        learns = [True] * 4 if part.startswith("head") else [False, False, True, True]
        assert changed == (learns if part.startswith(("head", "stage_1")) else [False] * 4), path


def test_refuses_to_unfreeze_more_stages_than_there_are(recipe, make_model):
    with pytest.raises(ValueError, match=r"`unfreeze` has 3 epochs.*, but the model has 2 stages"):
        replace(recipe, unfreeze=(1, 2, 3)).compile(make_model(), steps_per_epoch=1)


def test_an_epoch_without_an_update_is_refused(recipe, make_model):
    with pytest.raises(ValueError, match="An epoch of 3 batches does not update the weights: an update takes 4"):
        replace(recipe, accumulate=4).compile(make_model(), steps_per_epoch=3)
