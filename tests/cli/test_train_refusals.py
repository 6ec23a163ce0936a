"""`train`: what is refused before any work."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_convnext.cli import main

pytestmark = pytest.mark.usefixtures("empty_directory")


# === Batch and epochs by the number of images


def test_refuses_a_class_with_one_image(refusal, fitted, tmp_path):
    images, labels = np.zeros((41, 8, 8), "uint8"), np.r_[np.arange(40) % 2, 2]
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    message = refusal("train", "--data", tmp_path / "x.npz")
    assert "1 class with one image: '2'. Every class needs two images" in message
    assert fitted == []


# === From a checkpoint


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
        (["--batch", "1296"], "Give a --batch of 1295 or less, or none."),
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
        (["--variant", "convnext_tiny", "--stem", "4"], "8x8 pixels are smaller than this network's stride of 32"),
        (["--stem", "3"], "--stem must be a stride"),
        (["--data", "nowhere"], "No such file or folder: nowhere. Expected `digits`, an .npz file, a folder"),
        (["--data", "nowhere.npz"], "No such file or folder: nowhere.npz. Expected `digits`, an .npz file, a folder"),
        (["--data", __file__], f"{__file__}: expected `digits`, an .npz file, a folder"),
        (["--checkpoint", "nowhere"], "No such file or folder, and no such preset: nowhere. "),
        (["--settings", "nowhere.json"], "No such file or folder: nowhere.json"),
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
