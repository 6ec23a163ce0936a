"""Recipes: settings, what follows from them, and plain `compile` and `fit` with their parts."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtClassifier, Recipe
from keras_convnext.data import split_validation
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import MixUpOrCutMix, RandomErasing, RandomFlip, RandomResizedCrop
from keras_convnext.training import Run, RunRecord, StopAtNaN
from keras_convnext.training.recipe import DTYPES

OF_0_2_0 = json.loads((Path(__file__).parent / "golden" / "recipes_0_2_0.json").read_text())


def test_plain_compile_and_fit(recipe, make_model, few_digits, tmp_path):
    recipe = recipe.with_epochs(12)
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


@pytest.mark.parametrize("epochs, warmup_epochs", [(4, 1), (8, 2), (1, 0.25)])
def test_with_epochs_keeps_the_share_of_the_warmup(recipe, epochs, warmup_epochs):
    assert recipe.with_epochs(epochs) == replace(recipe, epochs=epochs, warmup_epochs=warmup_epochs)


def test_with_epochs_keeps_the_share_of_the_decay(recipe):
    recipe = replace(recipe, schedule="step", decay_epochs=(2, 3))
    found = recipe.with_epochs(8)
    assert (found.decay_epochs, found.warmup_epochs) == ((4, 6), 2)
    assert recipe.with_settings({"epochs": 8}) == found
    assert recipe.with_settings({"epochs": 8, "decay_epochs": [5]}).decay_epochs == (5,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "exponential"}, "`schedule` must be one of cosine, step, polynomial"),
        ({"schedule": "step"}, "`decay_epochs` must be one epoch or more of the training"),
        ({"schedule": "step", "decay_epochs": (4,)}, "`decay_epochs` must be one epoch or more of the training"),
        ({"decay_epochs": (2,)}, "`decay_epochs` must be None for cosine"),
    ],
)
def test_refuses_a_schedule_that_cannot_be(recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(recipe, **changes)


def test_steps_for_a_variant_are_written_as_json(recipe):
    changed = replace(recipe, variants={"convnext_tiny": {"augmentation": [RandomFlip()]}})
    config = json.loads(json.dumps(changed.get_config()))
    assert config["variants"] == {"convnext_tiny": {"augmentation": [{"class": "RandomFlip", "probability": 0.5}]}}
    of_tiny = Recipe.from_config(config).for_variant("convnext_tiny")
    assert of_tiny == changed.for_variant("convnext_tiny")
    assert of_tiny.augmentation == Augmentation([RandomFlip()])


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": (12, 10)},
        {"augmentation": Augmentation(scale=(0.3, 0.9)), "ema": 0.99},
        {"schedule": "step", "decay_epochs": (2.5,), "clip_norm": 1.0, "beta_2": 0.95},
        {"unfreeze": (2.0,), "variants": {"convnext_tiny": {"drop_path_rate": 0.2}}},
    ],
)
def test_survives_json(recipe, changes):
    recipe = replace(recipe, **changes)
    assert Recipe.from_config(json.loads(json.dumps(recipe.get_config()))) == recipe


@pytest.mark.parametrize("name", OF_0_2_0)
def test_configurations_of_version_0_2_0_load(name):
    """`golden/recipes_0_2_0.json` holds what that version wrote of each of its recipes into a run's `config.json`."""
    recipe = Recipe.from_config(OF_0_2_0[name])
    assert recipe == RECIPES[name]
    for variant in recipe.variants:
        assert recipe.for_variant(variant) == RECIPES[name].for_variant(variant)


def test_a_changed_augmentation_of_version_0_2_0_loads():
    settings = {"scale": [0.5, 1.0], "ratio": [0.75, 4 / 3], "flip_rate": 0.25, "rand_augment": 0.0}
    settings |= {"erasing_rate": 0.5, "mixup": 0.2, "cutmix": 0.0}
    found = Recipe.from_config({**OF_0_2_0["fine_tune"], "augmentation": settings}).augmentation
    assert found.steps == (
        RandomResizedCrop(scale=(0.5, 1.0), ratio=(0.75, 4 / 3)),
        RandomFlip(0.25),
        RandomErasing(0.5),
        MixUpOrCutMix(mixup=0.2, cutmix=0.0),
    )


def test_the_augmentation_may_be_a_list_of_steps(recipe):
    steps = [RandomResizedCrop(scale=(0.5, 1.0)), RandomFlip(0.25)]
    found = replace(recipe, augmentation=steps)
    assert found.augmentation == Augmentation(steps)
    config = json.loads(json.dumps(found.get_config()))
    assert config["augmentation"][1] == {"class": "RandomFlip", "probability": 0.25}
    assert recipe.with_settings({"augmentation": config["augmentation"]}) == found
    assert found.with_settings({"augmentation": None}) == recipe


def test_the_rate_scales_with_the_batch(recipe):
    found = recipe.at_batch_size(64)
    assert (found.batch_size, found.learning_rate) == (64, pytest.approx(0.08))
    assert found.at_batch_size(16) == recipe


def test_with_epochs_keeps_the_share_of_the_unfreezing(recipe):
    assert replace(recipe, unfreeze=(1, 2)).with_epochs(8).unfreeze == (2, 4)
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
        ({"epochs": 0}, "`epochs` must be an integer, at least 1"),
        ({"epochs": "3"}, r"`epochs` must be an integer, at least 1\. Received: epochs='3'"),
        ({"seed": None}, "`seed` must be an integer, at least 0"),
        ({"augmentation": "none"}, "`augmentation` must be an `Augmentation`, a list of its steps, or None"),
        (
            {"augmentation": {"scale": 0.5}},
            "`scale` must be a tuple or list of numbers",
        ),
        ({"image_size": "224"}, "`image_size` must be a tuple or list of numbers"),
        ({"image_size": (0, 0)}, "`image_size` must be an integer, at least 1"),
        ({"image_size": (8, 8, 1)}, r"`image_size` must be None, or \(height, width\) in pixels"),
        ({"layer_decay": 0.0}, "`layer_decay` must be above 0 and at most 1"),
        ({"workers": -1}, "`workers` must be an integer, at least 1"),
        ({"head_init_scale": "1"}, "`head_init_scale` must be a finite number"),
        ({"remat": "no"}, "`remat` must be True or False"),
        ({"unfreeze": (-1,)}, "`unfreeze` must be a finite number, at least 0"),
        ({"layer_decay_kind": "deep"}, "`layer_decay_kind` must be one of group"),
        ({"learning_rate": -1.0}, "`learning_rate` must be a finite number, at least 0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be at least 0 and below 1"),
        ({"ema": 1.5}, "`ema` must be from 0 to 1"),
        ({"beta_2": 1.0}, "`beta_2` must be at least 0 and below 1"),
        ({"clip_norm": 0}, "`clip_norm` must be None, or a number above 0"),
        ({"accumulate": 3}, "`accumulate` must be a divisor of 16 images"),
        ({"dtype": "float8"}, r"`dtype` must be None, or one of float32, .*float64\. Received: dtype='float8'"),
        ({"dtype": "int8"}, "`dtype` must be None, or one of float32"),
        ({"dtype": "float8_from_float32"}, "`dtype` must be None, or one of float32"),
        ({"dtype": ""}, "`dtype` must be None, or one of float32"),
        ({"dtype": 32}, "`dtype` must be None, or one of float32"),
        ({"min_updates": 0}, "`min_updates` must be an integer, at least 1"),
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
