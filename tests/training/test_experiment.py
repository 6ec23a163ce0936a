"""`Experiment`: its checks, its configuration, and what it builds and trains."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtClassifier, Experiment
from keras_convnext.models import load_model
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import RandomFlip
from keras_convnext.training import Recipe, Run
from keras_convnext.variants import VARIANTS, ConvNeXtConfig

pytestmark = pytest.mark.once


@pytest.fixture
def tiny(monkeypatch):
    """The name of a variant that trains in seconds."""
    row = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1, image_size=8, source="tests")
    monkeypatch.setitem(VARIANTS, "tiny", row)
    return "tiny"


@pytest.fixture
def npz(tmp_path, few_digits):
    """An `.npz` file of the digits: 72 to train on, 32 to test with."""
    train, test = few_digits.train, few_digits.test
    path = tmp_path / "digits.npz"
    np.savez(path, x_train=train.pixels, y_train=train.labels, x_test=test.pixels, y_test=test.labels)
    return path


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """A file of a small model for images of the digits."""
    path = tmp_path / "checkpoint.keras"
    ConvNeXtClassifier.from_preset(tiny, num_classes=10, input_shape=(8, 8, 1)).save(path)
    return path


# === What it refuses, before any file is read


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": 3}, "`data` must be a non-empty string. Received: data=3"),
        ({"data": ""}, "`data` must be a non-empty string"),
        ({"checkpoint": ""}, "`checkpoint` must be a non-empty string. Received: checkpoint=''"),
        ({"output": ""}, "`output` must be a non-empty string"),
        ({"variant": "convnext_tini"}, "nearest names are convnext_tiny"),
        (
            {"variant": "convnext_mini", "checkpoint": "convnext_tiny_1k_224"},
            "`variant` cannot be given with `checkpoint`",
        ),
        ({"stem": 2, "checkpoint": "convnext_tiny_1k_224"}, "`stem` cannot be given with `checkpoint`"),
        ({"stem": 3}, "`stem` must be a stride of 1, 2 or 4. Received: stem=3"),
        ({"stem": 8, "variant": "convnext_isotropic_small"}, "`stem` must be a stride of 1, 2, 4 or 16"),
        ({"stem": True}, "`stem` must be an integer, at least 1"),
        ({"checkpoint": "convnext_tinny"}, "nearest names are"),
        ({"checkpoint": "convnext_tiny"}, "an architecture, without weights. Give it as `variant`"),
        ({"checkpoint": "missing.keras"}, "No such file or folder: missing.keras"),
        ({"size": 0}, "`size` must be an integer, at least 1"),
        ({"epochs": 1.5}, "`epochs` must be an integer, at least 1"),
        ({"batch_size": 0}, "`batch_size` must be an integer, at least 1"),
        ({"learning_rate": -1}, "`learning_rate` must be a finite number, at least 0"),
        ({"drop_path_rate": 1.0}, "`drop_path_rate` must be at least 0 and below 1"),
        ({"ema": 2}, "`ema` must be from 0 to 1"),
        ({"dtype": "float8"}, "`dtype` must be None, or one of float32"),
        ({"accumulate": 5}, "`accumulate` must be a divisor of 64 images"),
        ({"batch_size": 10, "accumulate": 4}, "`accumulate` must be a divisor of 10 images"),
        ({"mixup": 0.3}, "`mixup` is for a recipe that augments the images"),
        ({"recipe": "small_images", "cutmix": 0.01}, "`cutmix` must be 0, or 0.1 and more"),
        ({"freeze": 1}, "`freeze` is for a `checkpoint`"),
        ({"freeze": 1, "checkpoint": "convnext_tiny_1k_224", "recipe": "linear_probe"}, "unfreezes the stages one"),
        ({"skip_unreadable": "yes"}, "`skip_unreadable` must be True or False"),
        ({"recipe": "best"}, "No such recipe: 'best'"),
        ({"recipe": {"epochs": 3}}, "`recipe` needs a `base`"),
        ({"recipe": {"ema": 0.9}}, "`recipe` needs a `base`"),
        ({"recipe": {"base": "digits", "rate": 3}}, "No such setting: rate"),
        ({"recipe": 3}, "`recipe` must be a name or a dict"),
    ],
    ids=str,
)
def test_refuses_at_once(settings, message):
    with pytest.raises(ValueError) as refused:
        Experiment(**settings)
    assert message in str(refused.value)
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("notes")])
def test_refuses_an_output_that_exists_before_the_data_are_read(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(ValueError, match=r"run already exists\. Choose another name"):
        Experiment(data="nowhere", output=tmp_path / "run").build()


def test_refuses_a_checkpoint_that_cannot_be_read_before_the_data_are_read(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint\.keras: cut off or damaged"):
        Experiment(data="nowhere", checkpoint=checkpoint).build()


def test_refuses_more_stages_than_there_are(checkpoint, npz):
    with pytest.raises(ValueError, match=r"`freeze` must be from 0 to 2, .*Received: freeze=3"):
        Experiment(data=npz, checkpoint=checkpoint, freeze=3).build()


def test_refuses_a_model_that_is_none_of_ours(tmp_path, npz):
    """A run folder may have one, such as a step of the roadmap."""
    (tmp_path / "run").mkdir()
    config = {"class_names": ["a", "b"], "image_shape": [8, 8, 1], "recipe": {}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "run" / "model.keras")
    with pytest.raises(ValueError, match="run: expected a ConvNeXt with data_format channels_last"):
        Experiment(data=npz, checkpoint=tmp_path / "run").build()


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            {"recipe": Recipe("test", epochs=2, batch_size=64, learning_rate=0.1, warmup_epochs=0)},
            "Give a `batch_size` of 62 or less. "
            "For a recipe with `min_updates`, `for_data_size(recipe, 62)` finds one.",
        ),
        ({"recipe": "in1k_from_scratch", "size": 32}, "Give a `batch_size` of 62 or less."),
        ({"recipe": {"base": "digits", "batch_size": 64}}, "Give a `batch_size` of 62 or less, or none."),
        ({"recipe": "digits", "batch_size": 64}, "Give a `batch_size` of 62 or less, or none."),
    ],
    ids=["Recipe", "published", "dict", "batch_size"],
)
def test_a_batch_larger_than_the_data_is_answered_with_what_to_give(npz, tiny, settings, remedy):
    with pytest.raises(ValueError) as refused:
        Experiment(data=npz, variant=tiny, **settings).build()
    message = str(refused.value)
    assert " images is larger than the 62 training images, so that the weights would never be updated. " in message
    assert message.endswith(f"updated. {remedy}")


# === Its configuration

EXPERIMENTS = {
    "defaults": {},
    "paths": {"data": "photos.npz", "output": "runs/first", "skip_unreadable": True},
    "numbers": {"epochs": np.int64(3), "learning_rate": np.float64(1e-3), "ema": 0.9, "seed": 0, "remat": True},
    "changes": {"recipe": {"base": "small_images", "epochs": 20, "augmentation": {"mixup": 0.2}}, "mixup": 0.5},
    "recipe": {
        "recipe": replace(RECIPES["fine_tune"], augmentation=Augmentation(scale=(0.5, 1.0))),
        "tensorboard": True,
    },
    "start": {"checkpoint": "convnext_tiny_1k_224", "freeze": 2, "size": 96, "cutmix": 1.0},
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_comes_back_from_json(name, tmp_path):
    experiment = Experiment(**EXPERIMENTS[name])
    config = json.loads(json.dumps(experiment.to_config()))
    assert Experiment.from_config(config) == experiment
    (tmp_path / "experiment.json").write_text(json.dumps(config))
    assert Experiment.from_config(tmp_path / "experiment.json") == experiment


def test_its_configuration_has_what_is_not_the_default():
    assert Experiment(variant="convnext_atto", seed=0).to_config() == {
        "data": "digits",
        "variant": "convnext_atto",
        "seed": 0,
    }


def test_takes_a_path_where_a_string_is_expected(tmp_path):
    assert Experiment(data=tmp_path, output=tmp_path / "run").data == str(tmp_path)


@pytest.mark.parametrize(
    "augmentation",
    [[RandomFlip()], (RandomFlip(),), Augmentation([RandomFlip()]), [{"class": "RandomFlip", "probability": 0.5}]],
    ids=lambda one: type(one).__name__,
)
def test_takes_steps_in_the_settings_of_a_recipe(augmentation):
    experiment = Experiment(recipe={"base": "small_images", "augmentation": augmentation})
    steps = [{"class": "RandomFlip", "probability": 0.5}]
    assert experiment.recipe == {"base": "small_images", "augmentation": steps}
    assert Experiment.from_config(json.loads(json.dumps(experiment.to_config()))) == experiment
    for_a_variant = {"base": "small_images", "variants": {"convnext_atto": {"augmentation": augmentation}}}
    assert Experiment(recipe=for_a_variant).recipe["variants"] == {"convnext_atto": {"augmentation": steps}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augmentation": [RandomFlip]}, "received its class: write `RandomFlip()`"),
        ({"augmentation": [RandomFlip(), {"class": "RandomFlip"}]}, "Expected a step that derives from"),
        ({"augmentation": RandomFlip()}, "`augmentation` must be an `Augmentation`, a list of its steps, or None"),
        ({"description": Path("a")}, "`description` of `recipe` cannot be written as JSON. Received: description="),
        ({"variants": {"convnext_atto": {"ema": {0.9}}}}, "`ema` of `recipe` cannot be written as JSON"),
    ],
    ids=str,
)
def test_refuses_what_json_does_not_hold(settings, message):
    with pytest.raises(ValueError) as refused:
        Experiment(recipe={"base": "small_images", **settings})
    assert message in str(refused.value)


@pytest.mark.parametrize("content", ["[]", "3", '{"epoch": 3}', '{"stem": 3}', "nothing"])
def test_refuses_a_file_and_names_it(tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=r"settings\.json: "):
        Experiment.from_config(tmp_path / "settings.json")


@pytest.mark.parametrize(
    ("settings", "recipe"),
    [
        ({}, "digits"),
        ({"data": "photos"}, "small_images"),
        ({"data": "photos", "checkpoint": "convnext_tiny_1k_224"}, "fine_tune"),
        ({"checkpoint": "convnext_tiny_1k_224", "recipe": "linear_probe"}, "linear_probe"),
    ],
)
def test_the_recipe_by_default(settings, recipe):
    assert Experiment(**settings).chosen_recipe == recipe


# === What it builds


def test_builds_what_fit_takes(tiny, npz):
    training = Experiment(data=npz, variant=tiny, recipe="digits", epochs=1, batch_size=16).build()
    assert (len(training.data.train), len(training.data.validation), len(training.data.test)) == (62, 10, 32)
    assert training.model.optimizer is not None
    history = training.model.fit(
        training.train, validation_data=training.validation, epochs=training.recipe.epochs, shuffle=False, verbose=0
    )
    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert set(training.model.evaluate(training.test, verbose=0, return_dict=True)) == {"accuracy", "loss"}
    assert training.run is None


def test_builds_the_same_model_each_time(tiny, npz):
    one, other = (Experiment(data=npz, variant=tiny, seed=4).build() for _ in range(2))
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_settings_reach_the_recipe(tiny, npz):
    training = Experiment(
        data=npz,
        variant=tiny,
        recipe="small_images",
        epochs=2,
        batch_size=8,
        accumulate=2,
        ema=0.9,
        drop_path_rate=0.2,
        mixup=0.3,
        cutmix=0.5,
        seed=7,
        dtype="float32",
        remat=True,
    ).build()
    recipe = training.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.accumulate, recipe.seed) == (2, 8, 2, 7)
    assert (recipe.ema, recipe.drop_path_rate, recipe.dtype, recipe.remat) == (0.9, 0.2, "float32", True)
    assert (recipe.augmentation.mixup, recipe.augmentation.cutmix) == (0.3, 0.5)
    assert recipe.augmentation.scale == RECIPES["small_images"].augmentation.scale
    assert recipe.learning_rate == pytest.approx(RECIPES["small_images"].learning_rate * 8 / 64)
    assert recipe.image_size == (8, 8)
    assert training.model.backbone.drop_path_rate == 0.2
    assert training.model.backbone.remat


@pytest.mark.filterwarnings("ignore:The learning rate is")
def test_a_learning_rate_is_taken_as_it_is_whatever_the_batch(tiny, npz):
    training = Experiment(data=npz, variant=tiny, recipe="small_images", learning_rate=1e-7).build()
    assert training.recipe.batch_size == 8
    assert (training.recipe.learning_rate, training.recipe.min_learning_rate) == (1e-7, 1e-7)
    assert training.notes[0].startswith("62 training images: batches of 8")


@pytest.mark.filterwarnings("ignore:The learning rate is")
def test_a_whole_recipe_stays_as_it_is(tiny, npz):
    recipe = Recipe(source="test", epochs=2, batch_size=31, learning_rate=0.1, warmup_epochs=0, image_size=(8, 8))
    assert Experiment(data=npz, variant=tiny, recipe=recipe).build().recipe == recipe


def test_freezes_the_first_stages_of_a_checkpoint(checkpoint, npz):
    start = load_model(checkpoint)
    training = Experiment(data=npz, checkpoint=checkpoint, recipe="from_scratch", freeze=1, epochs=1).build()
    trained = {weight.path.partition("/")[0] for weight in training.model.trainable_weights}
    assert trained == {"stage_1_downsample", "stage_1_block_0", "head_norm", "head"}
    training.model.fit(training.train, shuffle=False, verbose=0)
    same = {
        weight.path.partition("/")[0]
        for weight, before in zip(training.model.weights, start.weights, strict=True)
        if np.array_equal(weight.numpy(), before.numpy())
    }
    assert {"stem", "stage_0_block_0"} <= same
    assert not {"stage_1_block_0", "head"} & same
    assert training.settings["freeze"] == 1


# === What it trains


@pytest.fixture
def short(tiny, npz, tmp_path):
    """A training of two epochs, in a run folder that is not there yet."""
    return Experiment(data=npz, variant=tiny, recipe="digits", epochs=2, batch_size=24, output=tmp_path / "run")


def test_leaves_a_run_folder_that_repeats_it(short, tmp_path):
    run = short.run(verbose=0)
    assert run.path == tmp_path / "run"
    assert run.metrics["epochs"] == 2
    assert run.load_model().num_classes == 10
    for source in (run.path, run.path / "config.json", run.config):
        again = Experiment.from_config(source)
        assert (again.data, again.variant, again.output) == (short.data, "tiny", None)
    repeated = replace(again, output=tmp_path / "again").run(verbose=0)
    assert {**repeated.metrics, "seconds": 0} == {**run.metrics, "seconds": 0}


def test_a_folder_under_runs_by_default(short, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    training = replace(short, output=None).build()
    assert not (tmp_path / "runs").exists()
    for number in (1, 2):
        assert str(training.open_run().path) == f"runs/digits-tiny-{number}"


def test_gives_keras_more_callbacks(short):
    epochs = []
    counter = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    short.run(callbacks=[counter], verbose=0)
    assert epochs == [0, 1]


def test_writes_logs_for_tensorboard_where_it_says_so_and_when_it_goes_on(short):
    run = replace(short, tensorboard=True).run(verbose=0)
    files = set((run.path / "logs" / "train").glob("events.out.tfevents.*"))
    assert files
    Experiment.resume(run.path, epochs=3, verbose=0)
    assert set((run.path / "logs" / "train").glob("events.out.tfevents.*")) > files


def test_a_run_is_written_nowhere_twice(short):
    short.run(verbose=0)
    before = Run(short.output).metrics
    with pytest.raises(ValueError, match="already exists"):
        short.run(verbose=0)
    assert Run(short.output).metrics == before
