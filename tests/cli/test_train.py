"""`train`: what a run leaves, what the options do, and what is refused before any work."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtClassifier, __version__
from keras_convnext.cli import main
from keras_convnext.data import Batches, load_folder, load_npz
from keras_convnext.models import load_model
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training import Run


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    """The current directory, empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


# === A whole run on an .npz file


def test_run_folder_has_all_files(trained):
    names = ["config.json", "confusion.png", "curves.png", "history.csv", "metrics.json", "mistakes.png", "model.keras"]
    names += ["state"]
    assert sorted(path.name for path in trained.path.iterdir()) == names


def test_config_says_what_was_trained(trained, digits_npz, backend):
    config = json.loads((trained.path / "config.json").read_text())
    assert config["variant"] == "tiny"
    assert config["training_images"] == 70
    assert config["data"] == str(digits_npz)
    assert config["image_shape"] == [8, 8, 1]
    assert config["class_names"] == list("0123456789")
    assert config["recipe"]["epochs"] == 2
    assert config["recipe"]["batch_size"] == 24
    assert config["recipe"]["seed"] == 3
    versions = (config["keras_convnext"], config["keras"], config["backend"])
    assert versions == (__version__, keras.__version__, backend)


def test_model_is_that_of_the_metrics(trained, digits_npz):
    test = load_npz(digits_npz).test
    outputs = load_model(trained.path / "model.keras").predict(test.pixels.astype("float32"), verbose=0)
    metrics = json.loads((trained.path / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["test_accuracy"], (outputs.argmax(-1) == test.labels).mean(), rtol=1e-6)


def test_history_has_both_epochs(rows_of, trained):
    assert [row["epoch"] for row in rows_of(trained.path)] == ["1", "2"]


def test_prints_what_is_trained_and_what_came_of_it(trained, backend):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    first, *_, last = trained.out.splitlines()
    assert first == (
        "tiny: 4,730 parameters, 10 classes, 70 training images, 2 batches of 24 per epoch, "
        f"{backend} backend; run folder {trained.path}"
    )
    assert last.startswith(
        f"best epoch {metrics['best_epoch']} of 2: validation accuracy {metrics['val_accuracy']:.4f}"
    )
    assert f"test accuracy {metrics['test_accuracy']:.4f}" in last
    assert str(trained.path / "model.keras") in last


# === A whole run on a folder


def test_trains_on_a_folder_of_pictures(cli, tiny, write_digits, tmp_path):
    folder = tmp_path / "pictures"
    write_digits(folder / "train", 4)
    write_digits(folder / "val", 2, start=4)
    write_digits(folder / "test", 2, start=6)
    (folder / "train" / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    options = ["--variant", tiny, "--size", "8", "--epochs", "1", "--batch", "6"]
    result = cli("train", "--data", folder, *options, "--skip-unreadable", "--output", tmp_path / "run")
    assert result.code == 0
    assert ", 3 classes, 12 training images, 1 unreadable skipped, " in result.out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["class_names"] == ["one", "two", "zero"]
    assert config["image_shape"] == [8, 8, 3]
    assert config["skip_unreadable"] is True
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    validation = load_folder(folder, skip_unreadable=True, verbose=False).validation
    assert len(validation) == 6
    batches = Batches(validation, 6, ResizeAndCrop(8, 8))
    scores = load_model(tmp_path / "run" / "model.keras").evaluate(batches, verbose=0, return_dict=True)
    assert metrics["val_accuracy"] == pytest.approx(scores["accuracy"], rel=1e-6)
    assert metrics["val_loss"] == pytest.approx(scores["loss"], rel=1e-5)
    scored = cli("evaluate", tmp_path / "run", "--json")
    assert scored.code == 0
    facts = json.loads(scored.out)
    assert (facts["part"], facts["images"]) == ("test", 6)
    assert facts["accuracy"] == metrics["test_accuracy"]


# === What the options do


def test_trains_on_the_digits_by_default(cli, fitted, empty_directory):
    result = cli("train")
    assert result.code == 0
    (call,) = fitted
    assert call.run.path.resolve() == empty_directory / "runs" / "digits-convnext_mini-1"
    assert (len(call.data.train), len(call.data.validation), len(call.data.test)) == (1295, 143, 359)
    assert call.model.input_shape == (None, 8, 8, 1)
    assert call.recipe.source == "keras_convnext"
    assert call.recipe.seed == 0
    assert call.run.config["data"] == "digits"
    assert "validation accuracy 0.7500, test accuracy 0.5000" in result.out


def test_each_run_has_a_new_folder(cli, fitted):
    for _ in range(2):
        cli("train")
    assert [call.run.path.name for call in fitted] == ["digits-convnext_mini-1", "digits-convnext_mini-2"]


def test_a_folder_given_by_a_dot_gives_the_run_its_name(cli, fitted, write_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(write_digits(tmp_path / "pictures"))
    assert cli("train", "--data", ".", "--variant", "convnext_mini", "--size", "8").code == 0
    assert fitted[0].run.path.name.startswith("pictures-convnext_mini")


def test_the_run_of_a_run_is_called_by_its_data_once(cli, fitted, trained, tiny, digits_npz):
    """Not digits-digits-tiny-1-1: the checkpoint's folder has the data's name in it."""
    folder = shutil.copytree(trained.path, "runs/digits-tiny-1")
    options = ["--data", digits_npz, "--recipe", "digits"]
    assert cli("train", *options, "--checkpoint", folder).code == 0
    assert cli("train", *options, "--checkpoint", f"{folder}/model.keras").code == 0
    assert [call.run.path.name for call in fitted] == ["digits-tiny-tuned-1", "digits-tiny-tuned-2"]


# === Batch and epochs by the number of images


def test_the_digits_keep_their_recipe(cli, fitted):
    result = cli("train")
    (call,) = fitted
    assert call.recipe == replace(RECIPES["digits"], image_size=(8, 8))
    assert "training images: " not in result.out


def test_few_images_take_smaller_batches_and_more_epochs(cli, fitted, tiny, digits_npz):
    result = cli("train", "--data", digits_npz, "--variant", tiny)
    (call,) = fitted
    assert (call.recipe.batch_size, call.recipe.epochs) == (8, 75)
    assert call.recipe.learning_rate == pytest.approx(RECIPES["small_images"].learning_rate * 8 / 64)
    assert result.out.splitlines()[1] == (
        "70 training images: batches of 8 (64 would give 1 update per epoch), "
        "75 epochs (28 would give 224 updates in all)"
    )
    assert call.run.config["recipe"]["batch_size"] == 8


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--batch", "16"], (16, 150)), (["--epochs", "3"], (8, 3)), (["--batch=16", "--epochs=3"], (16, 3))],
)
def test_what_is_given_stays(cli, fitted, tiny, digits_npz, options, expected):
    assert cli("train", "--data", digits_npz, "--variant", tiny, *options).code == 0
    assert (fitted[0].recipe.batch_size, fitted[0].recipe.epochs) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epochs": 3}, (8, 3)),
        ({"batch_size": 16}, (16, 150)),
        ({"batch_size": 16, "epochs": 3}, (16, 3)),
        ({}, (8, 75)),
    ],
)
def test_what_settings_give_stays(cli, fitted, tiny, digits_npz, tmp_path, settings, expected):
    given = {"data": str(digits_npz), "variant": tiny, "recipe": {"base": "small_images", **settings}}
    (tmp_path / "settings.json").write_text(json.dumps(given))
    assert cli("train", "--settings", tmp_path / "settings.json").code == 0
    assert (fitted[0].recipe.batch_size, fitted[0].recipe.epochs) == expected


def test_a_published_recipe_stays_and_few_updates_are_said(cli, fitted, tiny, digits_npz):
    options = ["--recipe", "in22k_pretrain", "--batch", "64", "--size", "8"]
    result = cli("train", "--data", digits_npz, "--variant", tiny, *options)
    assert fitted[0].recipe.epochs == 90
    assert result.out.splitlines()[1] == (
        "70 training images in batches of 64 give 1 update of the weights per epoch, 90 in all: "
        "a smaller batch gives more"
    )


def test_refuses_a_class_with_one_image(refusal, fitted, tmp_path):
    images, labels = np.zeros((41, 8, 8), "uint8"), np.r_[np.arange(40) % 2, 2]
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = refusal("train", "--data", tmp_path / "x.npz")
    assert "1 class with one image: '2'. Every class needs two images" in message
    assert fitted == []


def test_the_help_has_a_line_on_each_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for name, recipe in RECIPES.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert recipe.description and recipe.description in line


def test_options_reach_the_training(cli, fitted, tiny):
    options = ["--epochs", "7", "--batch", "5", "--seed", "11", "--size", "16", "--stem", "2"]
    cli("train", "--variant", tiny, "--recipe", "from_scratch", *options)
    (call,) = fitted
    assert call.model.backbone.dims == (8, 16)
    assert call.model.backbone.stem_patch_size == 2
    assert call.model.backbone.drop_path_rate == call.recipe.drop_path_rate
    assert call.model.input_shape == (None, 16, 16, 1)
    assert (call.recipe.epochs, call.recipe.batch_size, call.recipe.seed) == (7, 5, 11)
    assert call.recipe.image_size == (16, 16)
    assert call.recipe.learning_rate == pytest.approx(1e-3 * 5 / 64)
    assert call.recipe.warmup_epochs == pytest.approx(2 * 7 / 30)


def test_options_of_memory_and_average_reach_the_training(cli, fitted, tiny):
    options = ["--accumulate", "2", "--dtype", "mixed_bfloat16", "--remat", "--ema", "0.99"]
    assert cli("train", "--variant", tiny, "--batch", "8", *options).code == 0
    (call,) = fitted
    assert (call.recipe.accumulate, call.recipe.ema) == (2, 0.99)
    assert call.model.backbone.remat
    assert call.model.backbone.dtype_policy.name == "mixed_bfloat16"
    assert len(call.recipe.dataset(call.data.train)) == 1295 // 8 * 2


def test_options_of_the_optimizer_and_the_augmentation_reach_the_training(cli, fitted, tiny):
    options = ["--lr", "0.003", "--drop-path", "0.2", "--mixup", "0.4", "--cutmix", "0", "--recipe", "small_images"]
    assert cli("train", "--variant", tiny, *options, "--batch", "16").code == 0
    (call,) = fitted
    assert (call.recipe.learning_rate, call.recipe.batch_size, call.recipe.drop_path_rate) == (0.003, 16, 0.2)
    assert (call.recipe.augmentation.mixup, call.recipe.augmentation.cutmix) == (0.4, 0.0)
    assert call.model.backbone.drop_path_rate == 0.2


def test_stages_of_a_checkpoint_are_frozen(cli, fitted, trained, digits_npz):
    assert cli("train", "--data", digits_npz, "--checkpoint", trained.path, "--freeze", "1").code == 0
    (call,) = fitted
    parts = {weight.path.partition("/")[0] for weight in call.model.trainable_weights}
    assert parts == {"stage_1_downsample", "stage_1_block_0", "head_norm", "head"}
    assert call.run.config["freeze"] == 1


def test_a_papers_recipe_has_the_variants_numbers(cli, fitted):
    options = ["--recipe", "in1k_from_scratch", "--variant", "convnext_small", "--size", "32", "--batch", "1024"]
    assert cli("train", *options).code == 0
    (call,) = fitted
    assert call.model.backbone.drop_path_rate == 0.4
    assert (call.recipe.epochs, call.recipe.learning_rate, call.recipe.ema) == (300, 1e-3, 0.9999)
    assert call.recipe.image_size == (32, 32)


def test_writes_logs_for_tensorboard(cli, tiny, digits_npz, tmp_path):
    options = ["--variant", tiny, "--data", digits_npz, "--epochs", "1", "--batch", "24", "--recipe", "digits"]
    assert cli("train", *options, "--tensorboard", "--output", tmp_path / "run").code == 0
    for part in ("train", "validation"):
        assert list((tmp_path / "run" / "logs" / part).glob("events.out.tfevents.*"))


# === Settings from a file


def test_settings_come_from_a_file_and_the_command_line_has_the_last_word(cli, fitted, tiny, digits_npz, tmp_path):
    recipe = {"base": "small_images", "epochs": 3, "seed": 5, "augmentation": {"mixup": 0.4}}
    settings = {"data": str(digits_npz), "variant": tiny, "stem": 2, "recipe": recipe}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert cli("train", "--settings", tmp_path / "settings.json", "--seed", "6", "--batch", "8").code == 0
    (call,) = fitted
    assert (call.recipe.epochs, call.recipe.seed, call.recipe.augmentation.mixup) == (3, 6, 0.4)
    assert call.recipe.learning_rate == pytest.approx(RECIPES["small_images"].learning_rate * 8 / 64)
    assert call.model.backbone.stem_patch_size == 2
    assert len(call.data.train) == 70


def test_a_runs_config_repeats_the_run(cli, trained, fitted, tiny):
    assert cli("train", "--settings", trained.path / "config.json").code == 0
    (call,) = fitted
    first = Run.open(trained.path).config
    assert {**call.run.config, "keras_convnext": None} == {**first, "keras_convnext": None}


def test_what_followed_from_the_images_is_repeated_too(cli, fitted, tmp_path):
    images, labels = np.zeros((4, 32, 32), "uint8"), np.arange(4) % 2
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert cli("train", "--data", tmp_path / "images.npz", "--output", tmp_path / "first").code == 0
    assert cli("train", "--settings", tmp_path / "first" / "config.json").code == 0
    first, second = fitted
    assert second.model.backbone.get_config() == first.model.backbone.get_config()
    assert second.model.backbone.stem_patch_size == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variants": "tiny"}, "no such setting: variants. Expected some of data, variant"),
        ({"data": "digits", "epoch": 3}, "no such setting: epoch. Expected some of"),
        ({"data": "digits", "epochs": "3"}, "`epochs` must be an integer, at least 1. Received: epochs='3'"),
        ({"recipe": {"epochs": 3}}, "`recipe` needs a `base`, one of"),
        ({"recipe": {"base": "best"}}, "No such recipe: 'best'"),
        ({"recipe": {"base": "digits", "rate": 3}}, "No such setting: rate"),
        ({"recipe": 3}, "`recipe` is a name or an object"),
        ({"recipe": {"base": "digits", "dtype": "float8"}}, "`dtype` must be None, or one of float32"),
        ({"recipe": {"base": "digits", "batch_size": 5000}}, "The batch of 5000 images is larger than the 1295"),
        ({"recipe": {"base": "digits", "warmup_epochs": 31}}, "`warmup_epochs` must be no more than the 30 epochs"),
        ({"stem": 8}, "`stem` must be a stride of 1, 2 or 4. Received: stem=8"),
        ([], "expected an object"),
    ],
)
def test_refuses_settings(refusal, fitted, tmp_path, settings, message):
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert message in refusal("train", "--settings", tmp_path / "settings.json")
    assert fitted == []


def test_a_files_numbers_come_before_the_variants(cli, fitted, tmp_path):
    recipe = {"base": "in1k_from_scratch", "drop_path_rate": 0.05, "image_size": 32, "batch_size": 64}
    (tmp_path / "settings.json").write_text(json.dumps({"variant": "convnext_small", "recipe": recipe}))
    assert cli("train", "--settings", tmp_path / "settings.json").code == 0
    (call,) = fitted
    assert call.model.backbone.drop_path_rate == 0.05
    assert call.recipe.variants == {}


# === From a checkpoint


@pytest.mark.parametrize("recipe", ["fine_tune", "linear_probe"])
def test_fine_tunes_a_run_of_three_stages(cli, tmp_path, digits_npz, recipe):
    """To the end: whose stages are not four."""
    options = ["--data", digits_npz, "--epochs", "1", "--batch", "35"]
    first = ["--variant", "convnext_mini", "--recipe", "digits", "--output", tmp_path / "first"]
    assert cli("train", *options, *first).code == 0
    second = ["--checkpoint", tmp_path / "first", "--recipe", recipe, "--output", tmp_path / "second"]
    result = cli("train", *options, *second)
    assert result.code == 0, result.err
    assert Run.open(tmp_path / "second").config["checkpoint"] == str(tmp_path / "first")


def test_a_checkpoints_variant_is_known_by_its_layers(cli, fitted, tmp_path):
    ConvNeXtClassifier.from_preset("convnextv2_atto", num_classes=2, input_shape=(32, 32, 3)).save(tmp_path / "x.keras")
    images, labels = np.zeros((4, 32, 32, 3), "uint8"), np.arange(4) % 2
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    options = ["--checkpoint", tmp_path / "x.keras", "--recipe", "v2_ft_fcmae_in1k", "--size", "32", "--batch", "2"]
    assert cli("train", "--data", tmp_path / "two.npz", *options).code == 0
    assert fitted[0].recipe.weight_decay == 0.3


def test_refuses_rules_that_are_not_for_the_model(refusal, fitted, tmp_path):
    message = refusal("train", "--recipe", "ft_in1k_384", "--variant", "convnext_mini", "--output", tmp_path / "run")
    assert "Layer decay by group is for four stages" in message
    assert not (tmp_path / "run").exists()


def test_goes_on_from_a_run_with_other_classes(cli, trained, fitted, write_digits, tmp_path, rng):
    """The weights are the run's but for the head's; the recipe is fine_tune."""
    images, labels = rng.integers(0, 256, (6, 8, 8), dtype="uint8"), np.arange(6) % 3
    np.savez(tmp_path / "three.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert cli("train", "--data", tmp_path / "three.npz", "--checkpoint", trained.path, "--batch", "3").code == 0
    (call,) = fitted
    old = {weight.path: weight.numpy() for weight in Run.open(trained.path).load_model().weights}
    for weight in call.model.weights:
        same = weight.path in old and np.array_equal(weight.numpy(), old[weight.path])
        assert same != weight.path.startswith("head/"), weight.path
    assert call.model.backbone.drop_path_rate == RECIPES["fine_tune"].drop_path_rate
    assert call.recipe.layer_decay == RECIPES["fine_tune"].layer_decay
    assert call.run.config["checkpoint"] == str(trained.path)
    assert call.run.config["variant"] is None


def test_goes_on_from_a_file_of_weights(cli, fitted, tmp_path):
    model = ConvNeXtClassifier.from_preset("convnext_atto", num_classes=10, input_shape=(32, 32, 3))
    model.save(tmp_path / "atto.keras")
    images, labels = np.zeros((4, 32, 32, 3), "uint8"), np.arange(4) % 2
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    options = ["--data", tmp_path / "two.npz", "--checkpoint", tmp_path / "atto.keras", "--recipe", "linear_probe"]
    options += ["--epochs", "12"]
    assert cli("train", *options).code == 0
    (call,) = fitted
    np.testing.assert_array_equal(call.model.weights[0].numpy(), model.weights[0].numpy())
    assert call.recipe.unfreeze == (5, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "convnext_tiny"], "an architecture, without weights. Give it as --variant"),
        (["--checkpoint", "convnext_tiny_1k_224", "--variant", "convnext_tiny"], "which determines the variant"),
        (["--checkpoint", "convnext_tiny_1k_224", "--stem", "2"], "--stem cannot be given with --checkpoint"),
        (["--checkpoint", "convnext_tinny"], "the nearest names are"),
        (["--accumulate", "5"], "--accumulate must be a divisor of 64 images"),
        (["--dtype", "float7"], "--dtype must be None, or one of float32, mixed_bfloat16, mixed_float16"),
        (["--dtype", "float8"], "--dtype must be None, or one of float32, mixed_bfloat16, mixed_float16"),
        (["--dtype", "int32"], "--dtype must be None, or one of float32, mixed_bfloat16, mixed_float16"),
        (["--batch", "1296"], "The batch of 1296 images is larger than the 1295 training images"),
        (
            ["--recipe", "in1k_from_scratch", "--size", "32"],
            "The batch of 4096 images is larger than the 1295 training",
        ),
        (["--stem", "8"], "--stem must be a stride of 1, 2 or 4. Received: stem=8"),
        (["--stem", "16"], "--stem must be a stride of 1, 2 or 4. Received: stem=16"),
        (["--freeze", "1"], "--freeze is for a --checkpoint"),
        (
            ["--freeze", "1", "--checkpoint", "convnext_tiny_1k_224", "--recipe", "linear_probe"],
            "--freeze is for a recipe",
        ),
        (["--mixup", "0.2"], "--mixup is for a recipe that augments the images, and this one does not"),
        (["--mixup", "0.05", "--recipe", "small_images"], "--mixup must be 0, or 0.1 and more"),
    ],
)
def test_refuses_options(refusal, fitted, options, message):
    assert message in refusal("train", *options)
    assert fitted == []


@pytest.mark.parametrize(("option", "value"), [("--lr", "-1"), ("--lr", "nan"), ("--mixup", "much"), ("--lr", "inf")])
def test_refuses_a_rate_out_of_range(capsys, option, value):
    with pytest.raises(SystemExit, match="2"):
        main(["train", f"{option}={value}"])
    assert "expected a number from 0 up, got" in capsys.readouterr().err


def test_an_error_in_a_file_names_the_setting_and_one_on_the_command_line_the_option(refusal, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"recipe": "small_images", "mixup": 0.05}))
    assert "`mixup` must be 0" in refusal("train", "--settings", tmp_path / "settings.json")
    (tmp_path / "settings.json").write_text(json.dumps({"recipe": "small_images"}))
    assert "--cutmix must be 0" in refusal("train", "--settings", tmp_path / "settings.json", "--cutmix=0.01")


@pytest.mark.parametrize("momentum", ["1", "-0.1", "most"])
def test_refuses_a_momentum_out_of_range(capsys, momentum):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--ema", momentum])
    assert "expected a number from 0 up, below 1" in capsys.readouterr().err


def test_refuses_a_checkpoint_of_other_channels(refusal, trained, fitted, tmp_path):
    images, labels = np.zeros((4, 8, 8, 3), "uint8"), np.arange(4) % 2
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = refusal("train", "--data", tmp_path / "two.npz", "--checkpoint", trained.path)
    assert "takes images of 1 channels; those of the data have 3" in message


def test_the_seed_draws_the_weights(cli, fitted):
    for seed in (0, 0, 1):
        cli("train", "--seed", seed)
    first, same, other = (call.model.get_weights() for call in fitted)
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "side, variant, stem",
    [(8, "convnext_mini", 1), (16, "convnext_mini", 1), (28, "convnext_mini", 2), (64, "convnext_atto", 2)],
)
def test_variant_and_stem_follow_from_the_size_of_the_images(cli, fitted, tmp_path, rng, side, variant, stem):
    images = rng.integers(0, 256, (4, side, side - 2), dtype="uint8")
    labels = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert cli("train", "--data", tmp_path / "images.npz").code == 0
    (call,) = fitted
    assert call.run.config["variant"] == variant
    assert call.model.backbone.stem_patch_size == stem
    assert call.model.input_shape == (None, side, side - 2, 1)


def test_pictures_are_224_pixels_wide_by_default(cli, fitted, write_digits, tmp_path):
    cli("train", "--data", write_digits(tmp_path / "pictures"))
    (call,) = fitted
    assert call.model.input_shape == (None, 224, 224, 3)
    assert call.recipe.image_size == (224, 224)
    assert call.run.config["variant"] == "convnext_atto"
    assert call.model.backbone.stem_patch_size == 4


def test_a_training_without_test_images_says_so(cli, metrics, monkeypatch):
    untested = {**metrics, "test_accuracy": None, "test_loss": None}
    write = lambda model, data, recipe, run, *others, **options: run.write_json("metrics.json", untested)  # noqa: E731
    monkeypatch.setattr("keras_convnext.training.prepared.fit", write)
    assert "validation accuracy 0.7500, no test images" in cli("train").out


# === What is refused before any work


@pytest.fixture
def refused(refusal, fitted, empty_directory, tmp_path):
    """A function: runs a training that must be refused before it began, and returns the message."""

    def call(*options, output=tmp_path / "run"):
        message = refusal("train", *options, "--output", output)
        assert fitted == []
        assert not (tmp_path / "run").exists()
        assert list(empty_directory.iterdir()) == []
        return message

    return call


@pytest.mark.parametrize("option", ["--seed", "--epochs", "--batch", "--size"])
def test_refuses_a_number_out_of_range_in_one_line(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", option, "-1"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"argument {option}" in line


@pytest.mark.parametrize(
    "options, message",
    [
        (["--variant", "convnext_tini"], "the nearest names are convnext_tiny"),
        (["--variant", "convnext_mini", "--size", "2"], "smaller than this network's stride of 4"),
        (["--variant", "convnext_tiny"], "8x8 pixels are smaller than this network's stride of 32"),
        (["--stem", "3"], "--stem must be a stride"),
        (["--data", "nowhere"], "nowhere: expected `digits`, an .npz file, a folder"),
        (["--data", "nowhere.npz"], "nowhere.npz: expected `digits`, an .npz file, a folder"),
    ],
)
def test_refuses(refused, options, message):
    assert message in refused(*options)


def test_refuses_an_npz_file_without_the_arrays(refused, tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros(3))
    assert "images.npz: expected the arrays x_train" in refused("--data", tmp_path / "images.npz")


def test_refuses_an_npz_file_that_is_none(refused, tmp_path):
    (tmp_path / "images.npz").write_text("nothing")
    assert "images.npz: not a readable .npz file" in refused("--data", tmp_path / "images.npz")


def test_refuses_a_folder_of_one_class(refused, write_digits, tmp_path):
    write_digits(tmp_path / "pictures")
    for name in ("one", "two"):
        shutil.rmtree(tmp_path / "pictures" / name)
    assert "two classes or more, got 1 (zero)" in refused("--data", tmp_path / "pictures")


def test_refuses_an_unreadable_picture(refused, write_digits, tmp_path):
    bad = write_digits(tmp_path / "pictures") / "one" / "broken.png"
    bad.write_bytes(b"\x89PNG")
    message = refused("--data", tmp_path / "pictures")
    assert str(bad) in message
    assert "--skip-unreadable" in message


def test_refuses_classes_of_single_images(refused, write_digits, tmp_path):
    """Nothing is left to validate with: that is known before the training begins."""
    assert "two images" in refused("--data", write_digits(tmp_path / "pictures", count=1), "--size", "8")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("notes")])
def test_refuses_an_output_that_exists(refusal, fitted, tmp_path, make):
    make(tmp_path / "run")
    assert "run already exists. Choose another name." in refusal("train", "--output", tmp_path / "run")
    assert fitted == []


def test_refuses_an_output_that_cannot_be_made(refused, tmp_path):
    (tmp_path / "notes").write_text("a file, no folder")
    assert "notes" in refused(output=tmp_path / "notes" / "run")


def test_refuses_a_backend_that_cannot_train(refused, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    assert "numpy backend cannot train: set KERAS_BACKEND to tensorflow, jax or torch" in refused()


@pytest.mark.parametrize("package", ["PIL", "matplotlib"])
def test_names_the_extra_of_a_missing_package(refused, write_digits, tmp_path, without, package):
    folder = write_digits(tmp_path / "pictures")
    without(package)
    assert f'{package}, which is not installed: pip install "keras-convnext[cli]"' in refused("--data", folder)


def test_names_the_extra_where_arrays_are_to_be_resized(refused, without):
    without("PIL")
    assert "keras-convnext[cli]" in refused("--size", "16")
