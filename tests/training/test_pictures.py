"""The pictures of predictions: a confusion matrix, and the worst mistakes."""

import warnings

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import Images
from keras_convnext.training import confusion, confusion_matrix, draw_confusion, draw_mistakes, mistakes


def size_of(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        return image.size


@pytest.fixture
def drawn(monkeypatch):
    """What the pictures are drawn of: the arguments of `confusion._draw` and `mistakes._draw`, which draw none."""
    calls = []
    for module in (confusion, mistakes):
        monkeypatch.setattr(module, "_draw", lambda *arguments: calls.append(arguments))
    return calls


def test_the_matrix_counts_pairs(rng):
    labels, predicted = rng.integers(0, 4, (2, 200))
    matrix = confusion_matrix(labels, predicted, 4)
    for true in range(4):
        for other in range(4):
            assert matrix[true, other] == ((labels == true) & (predicted == other)).sum()


@pytest.mark.parametrize(
    ("classes", "count"), [(2, 1), (2, 30), (10, 300), (31, 200), pytest.param(1000, 3000, marks=pytest.mark.once)]
)
def test_the_matrix_is_a_picture_that_fits_a_screen(tmp_path, rng, classes, count):
    labels = rng.integers(0, classes, count)
    predicted = np.where(rng.random(count) < 0.7, labels, rng.integers(0, classes, count))
    draw_confusion(labels, predicted, [f"class {n}" for n in range(classes)], tmp_path / "confusion.png")
    width, height = size_of(tmp_path / "confusion.png")
    assert 200 < width < 1700 and 200 < height < 1700


def test_names_that_a_font_lacks_and_formulas_are_drawn_as_they_are(tmp_path):
    names = ["$x^2$ {", "猫 " * 50, "", "100 % \\frac"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion([0, 1, 2, 3], [1, 1, 2, 0], names, tmp_path / "confusion.png")
        images = Images(np.zeros((4, 8, 8, 1), "uint8"), np.arange(4), tuple(names))
        draw_mistakes(images, [1, 1, 2, 0], [0.5] * 4, tmp_path / "mistakes.png")
    size_of(tmp_path / "mistakes.png")


def test_of_many_classes_the_most_confused_are_shown(tmp_path, drawn):
    labels = np.repeat(np.arange(100), 10)
    predicted = labels.copy()
    predicted[labels == 70] = 71
    predicted[labels == 5] = 99
    predicted[0] = 1
    draw_confusion(labels, predicted, [f"c{n}" for n in range(100)], tmp_path / "none.png")
    ((matrix, others, names, title, _),) = drawn
    assert len(names) == confusion.SHOWN_CLASSES
    assert {"c70", "c71", "c5", "c99", "c0", "c1"} <= set(names)
    assert names == sorted(names, key=lambda name: int(name[1:]))
    assert matrix[names.index("c70"), names.index("c71")] == 10
    assert matrix.sum() + others.sum() == 10 * confusion.SHOWN_CLASSES
    assert title == "979 of 1,000 test images right (97.9%)\nthe 30 of 100 classes with the most mistakes"


def test_what_is_taken_for_a_class_that_is_not_shown_counts_among_the_others(drawn):
    labels = np.concatenate([np.zeros(900, int), np.repeat(np.arange(40), 2)])
    predicted = np.concatenate([np.arange(900) % 40, np.repeat(np.arange(40), 2)])
    draw_confusion(labels, predicted, [str(n) for n in range(40)], None)
    ((matrix, others, names, _, _),) = drawn
    assert matrix[0].sum() + others[0] == 902
    assert others[0] == sum((predicted[labels == 0] == n).sum() for n in range(40) if str(n) not in names)


def test_the_surest_mistakes_come_first(drawn):
    labels = np.array([0, 1, 0, 1, 0])
    images = Images(np.arange(5 * 64, dtype="uint8").reshape(5, 8, 8, 1), labels, ("a", "b"))
    draw_mistakes(images, [1, 1, 1, 0, 0], [0.6, 0.99, 0.9, 0.7, 0.8], None)
    ((shown, predicted, probabilities, heading, _),) = drawn
    np.testing.assert_array_equal(shown.pixels, images.pixels[[2, 3, 0]])
    assert (predicted.tolist(), probabilities.tolist()) == ([1, 0, 1], [0.9, 0.7, 0.6])
    assert heading == "3 mistakes, of 5 test images"


def test_without_mistakes_the_least_certain_answers_are_drawn(drawn):
    images = Images(np.zeros((3, 8, 8, 1), "uint8"), np.array([0, 1, 0]), ("a", "b"))
    draw_mistakes(images, [0, 1, 0], [0.9, 0.6, 0.8], None, "validation")
    ((_, _, probabilities, heading, _),) = drawn
    assert probabilities.tolist() == [0.6, 0.8, 0.9]
    assert heading.startswith("no mistakes, of 3 validation images")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_mistakes_of_any_channels_are_a_picture(tmp_path, rng, channels, count):
    pixels = rng.uniform(0, 255, (count, 9, 5, channels)).astype("float32")
    images = Images(pixels, np.zeros(count, int), ("a", "b"))
    draw_mistakes(images, np.ones(count, int), rng.random(count), tmp_path / "mistakes.png")
    width, _ = size_of(tmp_path / "mistakes.png")
    assert width == 1440


def test_files_of_any_size_are_drawn_in_their_proportions(tmp_path, rng):
    paths = []
    for number, shape in enumerate([(600, 20, 3), (20, 2000, 3), (1, 1, 3)]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, shape, dtype="uint8")).save(paths[-1])
    draw_mistakes(Images(paths, np.zeros(3, int), ("a", "b")), [1, 1, 1], [0.5, 0.6, 0.7], tmp_path / "mistakes.png")
    size_of(tmp_path / "mistakes.png")
