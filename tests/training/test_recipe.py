"""Recipes: what they give to plain `compile` and `fit`."""

import json
from dataclasses import asdict, replace
from itertools import pairwise

import keras
import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtBackbone, ConvNeXtClassifier, Recipe
from keras_convnext.data import AugmentedBatches, Batches, split_validation
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.training import AdamW, Run, RunRecord, StopAtNaN, WarmupCosine
from keras_convnext.training.recipe import DTYPES


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


def test_callbacks_are_a_record_of_the_run_and_a_stop_at_nan(recipe, tmp_path):
    run = Run(tmp_path)
    record, stop = recipe.callbacks(run)
    assert isinstance(record, RunRecord)
    assert isinstance(stop, StopAtNaN)
    assert record.run is stop.run is run


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


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": (12, 10)},
        {"augmentation": Augmentation(scale=(0.3, 0.9)), "ema": 0.99},
        {"unfreeze": (2.0,), "variants": {"convnext_tiny": {"drop_path_rate": 0.2}}},
    ],
)
def test_survives_json(recipe, changes):
    recipe = replace(recipe, **changes)
    assert Recipe.from_config(json.loads(json.dumps(asdict(recipe)))) == recipe


def test_the_rate_scales_with_the_batch(recipe):
    found = recipe.at_batch_size(64)
    assert (found.batch_size, found.learning_rate) == (64, pytest.approx(0.08))
    assert found.at_batch_size(16) == recipe


@pytest.mark.parametrize("rate", [0.5, 1e-9])
def test_a_rate_out_of_any_sane_range_warns(recipe, make_model, rate):
    with pytest.warns(UserWarning, match=f"The learning rate is {rate:g}: for AdamW"):
        replace(recipe, learning_rate=rate, min_learning_rate=0.0).compile(make_model(), steps_per_epoch=1)


def test_augmented_dataset_is_that_of_the_settings(recipe, few_digits):
    augmentation = Augmentation(scale=(0.5, 1.0), cutmix=0.0)
    found = replace(recipe, augmentation=augmentation, label_smoothing=0.2, seed=4, workers=1)
    batches = found.dataset(few_digits.train)
    reference = AugmentedBatches(few_digits.train, (8, 8), augmentation, 16, label_smoothing=0.2, seed=4, workers=1)
    assert len(batches) == len(reference) == 4
    for mine, others in zip(batches[1], reference[1], strict=True):
        np.testing.assert_array_equal(mine, others)
    assert type(found.dataset(few_digits.test, training=False)) is Batches


def test_smoothing_of_mixed_labels_is_not_done_twice(recipe, make_model):
    for augmentation, smoothing in ((None, 0.1), (Augmentation(), 0.0)):
        model = make_model()
        replace(recipe, augmentation=augmentation).compile(model, steps_per_epoch=1)
        assert model.loss.label_smoothing == smoothing


def test_image_files_need_a_size(recipe, few_digits, tmp_path):
    files = replace(few_digits.train, pixels=[tmp_path / "none.png"] * 72)
    with pytest.raises(ValueError, match="`image_size` is needed"):
        replace(recipe, augmentation=Augmentation()).dataset(files)


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


def test_layer_decay_and_average_reach_the_optimizer(recipe, make_model):
    model = make_model()
    changed = replace(recipe, layer_decay=0.5, layer_decay_kind="single", ema=0.99, ema_warmup=True)
    changed.compile(model, steps_per_epoch=1)
    rates = {weight.path: model.optimizer.factor(weight) for weight in model.trainable_weights}
    assert rates["head/kernel"] == 1
    assert rates["stage_1_block_0/depthwise_conv/kernel"] == 0.5
    assert rates["stage_0_block_0/depthwise_conv/kernel"] == 0.25
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
    with pytest.raises(ValueError, match="`unfreeze` has 3 stages, the model 2"):
        replace(recipe, unfreeze=(1, 2, 3)).compile(make_model(), steps_per_epoch=1)


def test_lasting_keeps_the_share_of_the_unfreezing(recipe):
    assert replace(recipe, unfreeze=(1, 2)).lasting(8).unfreeze == (2, 4)
    with pytest.raises(ValueError, match="`unfreeze` must be epochs of the training"):
        replace(recipe, unfreeze=(4,))


def test_an_average_needs_validation_images(recipe, tmp_path):
    with pytest.raises(ValueError, match="`validation` is needed"):
        replace(recipe, ema=0.9).callbacks(Run(tmp_path))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"epoch": 3}, r"No such setting: epoch\. Recipe has .*epochs"),
        ({"augmentation": {"mix": 1}}, r"No such setting: mix\. Augmentation has .*mixup"),
        ({"epochs": 0}, "`epochs` must be a whole number from 1 up"),
        ({"epochs": "3"}, r"`epochs` must be a whole number from 1 up\. Received: epochs='3'"),
        ({"seed": None}, "`seed` must be a whole number from 0 up"),
        ({"augmentation": "none"}, "`augmentation` must be an `Augmentation` or None"),
        ({"augmentation": {"scale": 0.5}}, "`scale` must be two numbers"),
        ({"image_size": "224"}, "`image_size` must be None, or numbers"),
        ({"layer_decay_kind": "deep"}, "`layer_decay_kind` must be one of group"),
        ({"learning_rate": -1.0}, "`learning_rate` must be a number from 0 up"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be from 0 up, below 1"),
        ({"ema": 1.5}, "`ema` must be None, or from 0 to 1"),
        ({"accumulate": 3}, "`accumulate` must be a divisor of 16 images"),
        ({"dtype": "float8"}, r"`dtype` must be None, or one of float32, .*float64\. Received: dtype='float8'"),
        ({"dtype": "int8"}, "`dtype` must be None, or one of float32"),
        ({"dtype": "float8_from_float32"}, "`dtype` must be None, or one of float32"),
        ({"dtype": ""}, "`dtype` must be None, or one of float32"),
        ({"dtype": 32}, "`dtype` must be None, or one of float32"),
        ({"min_updates": 0}, "`min_updates` must be None, or from 1 up"),
    ],
)
def test_refuses_settings(recipe, settings, message):
    with pytest.raises(ValueError, match=message):
        recipe.with_settings(settings)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_one_of_keras(recipe, dtype):
    assert keras.dtype_policies.get(recipe.with_settings({"dtype": dtype}).dtype).name == dtype


def test_epochs_among_the_settings_keep_the_share_of_the_warmup(recipe):
    assert recipe.with_settings({"epochs": 2}).warmup_epochs == 0.5
    assert recipe.with_settings({"epochs": 8, "warmup_epochs": 3}).warmup_epochs == 3
    assert replace(recipe, unfreeze=(3,)).with_settings({"epochs": 2}).unfreeze == (1.5,)


def test_an_epoch_without_an_update_is_refused(recipe, make_model, few_digits):
    with pytest.raises(ValueError, match="The batch of 73 images is larger than the 72 training images"):
        replace(recipe, batch_size=73).dataset(few_digits.train)
    assert len(replace(recipe, batch_size=73).dataset(few_digits.train, training=False)) == 1
    with pytest.raises(ValueError, match="An epoch of 3 batches does not update the weights: an update takes 4"):
        replace(recipe, accumulate=4).compile(make_model(), steps_per_epoch=3)


def test_settings_of_the_augmentation_change_it_alone():
    recipe = RECIPES["small_images"].with_settings({"augmentation": {"mixup": 0.3}})
    assert recipe.augmentation == replace(RECIPES["small_images"].augmentation, mixup=0.3)


def as_tf_data(pixels, labels):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(24)


def as_py_dataset(pixels, labels):
    class Whole(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return pixels[24 * index : 24 * (index + 1)], labels[24 * index : 24 * (index + 1)]

    return Whole()


def as_data_loader(pixels, labels):
    import torch

    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(pixels), torch.tensor(labels)), batch_size=24
    )


@pytest.mark.parametrize("wrap", [as_tf_data, as_py_dataset, as_data_loader])
def test_trains_on_any_dataset_that_keras_takes(recipe, make_model, few_digits, tmp_path, wrap):
    pixels, labels = few_digits.train.pixels.astype("float32"), np.eye(10, dtype="float32")[few_digits.train.labels]
    dataset = wrap(pixels, labels)
    model, run = make_model(), Run.create(tmp_path / "run", {})
    recipe = replace(recipe, ema=0.5)
    recipe.compile(model, steps_per_epoch=3)
    history = model.fit(
        dataset,
        epochs=recipe.epochs,
        validation_data=dataset,
        callbacks=recipe.callbacks(run, validation=dataset),
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert int(model.optimizer.iterations) == 12
    assert run.last_state.name == "epoch-4"
    assert "val_ema_accuracy" in run.read_json("state/epoch-4/history.json")[0]


def test_the_layer_scale_begins_as_the_recipe_has_it(recipe):
    recipe = replace(recipe, layer_scale_init_value=0.5)
    build = {"num_classes": 3, "input_shape": (8, 8, 1)}
    model = ConvNeXtClassifier.from_preset(
        "convnext_mini", **build, **recipe.for_variant("convnext_mini").model_arguments
    )
    scales = [weight.numpy() for weight in model.weights if "layer_scale/" in weight.path]
    assert len(scales) == 6
    assert all((scale == 0.5).all() for scale in scales)
    # V2 has no layer scale, and gets none.
    assert "layer_scale_init_value" not in recipe.for_variant("convnextv2_atto").model_arguments
    assert "layer_scale_init_value" not in replace(recipe, layer_scale_init_value=None).model_arguments
