"""`augment`: the grid, and the comparison with timm's pipeline."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_convnext.cli.augment import across_classes
from keras_convnext.data import read_image
from keras_convnext.preprocessing import ResizeAndCrop


def test_draws_a_grid(cli, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    result = cli("augment", "--data", folder, "--output", tmp_path / "grid.png", "--size", "24", "--rows", "3")
    assert result.code == 0, result.err
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (4 * 24, 8 * 24, 3)
    cells = {grid[r : r + 24, c : c + 24].tobytes() for r in range(0, 96, 24) for c in range(0, 192, 24)}
    assert len(cells) > 28


@pytest.mark.parametrize("task", ["detection", pytest.param("segmentation", marks=pytest.mark.slow)])
def test_draws_annotations_that_moved_with_their_images(cli, tmp_path, task):
    command = ("augment", "--task", task, "--data", "digit_scenes", "--size", "64", "--rows", "2")
    result = cli(*command, "--output", tmp_path / "grid.png")
    assert result.code == 0, result.err
    assert "2 images, 7 epochs of each, augmented by RandomResizedCrop, RandomFlip" in result.out
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    side = 246
    cells = {grid[r : r + side, c : c + side].tobytes() for r in (6, 6 + side) for c in range(6, 8 * side, side)}
    assert len(cells) == 16


@pytest.mark.parametrize(
    ("labels", "count", "expected"),
    [
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], 4, [0, 3, 6, 1]),
        ([2, 1, 0], 3, [2, 1, 0]),
        ([0, 0, 0, 1], 4, [0, 3, 1, 2]),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([5, 5], 1, [0]),
        ([0, 1], 9, [0, 1]),
    ],
)
def test_chooses_images_across_the_classes(labels, count, expected):
    assert across_classes(np.array(labels), count) == expected


def test_draws_every_class(cli, write_digits, tmp_path):
    """The first of each row is the image itself: no row is of the class of another."""
    folder = write_digits(tmp_path / "pictures")
    result = cli("augment", "--data", folder, "--output", tmp_path / "grid.png", "--size", "10", "--rows", "3")
    assert "3 images of 3 classes" in result.out
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    resize = ResizeAndCrop(10, 10)
    for row, name in enumerate(("one", "two", "zero")):
        first = sorted((folder / name).iterdir())[0]
        np.testing.assert_array_equal(grid[10 * row : 10 * row + 10, :10], resize(read_image(first)))


def test_the_same_seed_draws_the_same_grid(cli, tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        command = ("augment", "--data", "digits", "--size", "16", "--seed", seed)
        assert cli(*command, "--output", tmp_path / f"{name}.png").code == 0
    first, second, third = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("first", "second", "third"))
    np.testing.assert_array_equal(first, second)
    assert first.ndim == 2
    assert (first != third).any()


def test_leaves_out_unreadable_images(cli, write_digits, tmp_path):
    folder = write_digits(tmp_path / "pictures")
    (folder / "one" / "broken.png").write_bytes(b"damaged")
    command = ("augment", "--data", folder, "--output", tmp_path / "grid.png", "--size", "10")
    result = cli(*command)
    assert result.code == 2 and "leave them out with --skip-unreadable" in result.err
    assert cli(*command, "--skip-unreadable").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("other", ["timm", pytest.param("keras_cv", marks=pytest.mark.slow)])
def test_times_ours_against_another(cli, write_digits, tmp_path, other):
    folder = write_digits(tmp_path / "pictures")
    options = ("--rounds", "1", "--size", "32", "--files", "--json", "--against", other)
    result = cli("augment", "--data", folder, "--benchmark", *options)
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    assert (len(facts["ours"]), len(facts[other])) == (1, 1)
    assert facts["ratio"] == pytest.approx(facts["ours"][0] / facts[other][0])
    assert f"ours / {other} comes from one round" in facts["warnings"][0]


def test_progress_does_not_go_where_the_result_goes(cli, write_digits, tmp_path, monkeypatch):
    def compare(data, size, rounds, files, progress, against):
        progress("  1: ours 2, timm 1 images/s")
        return {"ours": [2.0], "timm": [1.0], "ratio": 2.0, "spread": 0.0}

    monkeypatch.setattr("keras_convnext.benchmarking.pipeline.compare", compare)
    result = cli("augment", "--data", write_digits(tmp_path / "pictures"), "--benchmark", "--rounds", "3")
    assert result.code == 0, result.err
    assert "  1: ours 2, timm 1 images/s" in result.err.splitlines()
    assert "1: ours" not in result.out and "ours / timm 2.00" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --output GRID.png to draw a grid, or --benchmark"),
        (["--output", "grid.png", "--benchmark"], "give --output GRID.png to draw a grid, or --benchmark"),
        (["--benchmark"], "--benchmark takes a folder"),
        (["--output", "grid.png", "--data", "nowhere"], "No such file or folder: nowhere. "),
        (["--benchmark", "--data", "nowhere"], "No such file or folder: nowhere\n"),
        (["--output", "grid.txt"], "expected a name that ends in .png"),
        (["--output", "missing/grid.png"], "missing: no such folder"),
        (["--output", ""], "got an empty one"),
        (["--output", "grid.png", "--files"], "--files: not with --output"),
        (["--output", "grid.png", "--rounds", "3"], "--rounds: not with --output"),
        (["--benchmark", "--rows", "3"], "--rows: not with --benchmark"),
        (["--benchmark", "--data", "empty"], "empty: expected one sub-folder per class"),
        (["--output", "folder.png"], "folder.png already exists. Choose another name."),
        (["--output", "mine.png"], "mine.png already exists. Choose another name."),
    ],
)
def test_refuses(refusal, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "empty").mkdir()
    assert message in refusal("augment", "--data", "digits", *arguments)
    assert (tmp_path / "mine.png").read_text() == "mine"
