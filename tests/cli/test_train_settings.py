"""`train`: what the options and a file of settings do, and what follows from the images."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtClassifier
from keras_convnext.cli import main
from keras_convnext.training import Run

pytestmark = [pytest.mark.usefixtures("empty_directory"), pytest.mark.once]


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
        ({"recipe": 3}, "`recipe` must be a name or a dict"),
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


@pytest.mark.parametrize(
    ("options", "stem"),
    [
        (["--variant", "convnext_atto"], 2),
        (["--variant", "convnext_mini"], 2),
        (["--variant", "convnext_atto", "--stem", "4"], 4),
        (["--variant", "convnext_zepto_rms_ols"], 4),
    ],
    ids=str,
)
def test_the_stem_of_a_given_variant_follows_from_the_size_of_the_images(cli, fitted, tmp_path, rng, options, stem):
    images, labels = rng.integers(0, 256, (6, 64, 64), dtype="uint8"), np.array([0, 1, 0, 1, 0, 1])
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    result = cli("train", "--data", tmp_path / "images.npz", *options)
    (call,) = fitted
    assert call.model.backbone.stem_patch_size == call.run.config["stem"] == stem
    assert result.out.startswith(f"{options[1]}, stem of stride {stem}, images of 64 x 64 pixels: ")


def test_the_stem_of_a_checkpoint_is_kept(cli, fitted, tmp_path):
    model = ConvNeXtClassifier.from_preset("test_convnext2", num_classes=2, input_shape=(32, 32, 1))
    model.save(tmp_path / "checkpoint.keras")
    images, labels = np.zeros((6, 32, 32), "uint8"), np.array([0, 1, 0, 1, 0, 1])
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    result = cli("train", "--data", tmp_path / "images.npz", "--checkpoint", tmp_path / "checkpoint.keras")
    assert fitted[0].model.backbone.stem_patch_size == 4
    assert result.out.startswith(f"{tmp_path / 'checkpoint.keras'}, stem of stride 4, images of 32 x 32 pixels: ")


def test_a_configuration_of_another_version_has_its_own_stem(cli, fitted, tmp_path, rng):
    """0.2.0 took the variant's stem, and wrote its stride down."""
    images, labels = rng.integers(0, 256, (6, 32, 32), dtype="uint8"), np.array([0, 1, 0, 1, 0, 1])
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    settings = {"data": str(tmp_path / "images.npz"), "variant": "convnext_mini", "stem": 1, "keras_convnext": "0.2.0"}
    settings |= {"class_names": ["0", "1"], "recipe": {"base": "digits"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert cli("train", "--settings", tmp_path / "config.json").code == 0
    assert fitted[0].model.backbone.stem_patch_size == 1


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
