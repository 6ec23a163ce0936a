"""`train --checkpoint`: trainings that start from a run or from a file of weights."""

import numpy as np
import pytest

from keras_convnext import RECIPES, ConvNeXtClassifier
from keras_convnext.training import Run

pytestmark = pytest.mark.usefixtures("empty_directory")


@pytest.mark.once
@pytest.mark.parametrize("recipe", ["fine_tune", pytest.param("linear_probe", marks=pytest.mark.slow)])
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


def test_refuses_a_checkpoint_of_other_channels(refusal, trained, fitted, tmp_path):
    images, labels = np.zeros((4, 8, 8, 3), "uint8"), np.arange(4) % 2
    np.savez(tmp_path / "two.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = refusal("train", "--data", tmp_path / "two.npz", "--checkpoint", trained.path)
    assert "takes images of 1 channels; the data have 3" in message
