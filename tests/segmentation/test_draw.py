"""Label maps over images: the pixels of the overlay and of the legend at the places where they must be."""

import warnings

import numpy as np
import pytest
from PIL import Image

from keras_convnext.drawing import class_colors
from keras_convnext.segmentation import draw_label_map

pytestmark = pytest.mark.once

NAMES = ["sky", "sea", "land", "road"]
COLORS = class_colors(4).astype(int)


@pytest.fixture
def image():
    return np.full((400, 600, 3), 50, "uint8")


@pytest.fixture
def label_map():
    """Sea at the left, not annotated in the middle, land at the right: two, one and three sixths."""
    labels = np.full((400, 600), 255, "uint8")
    labels[:, :200] = 1
    labels[:, 300:] = 2
    return labels


def mixed(number, opacity):
    return tuple(np.rint((1 - opacity) * 50 + opacity * COLORS[number]).astype(int).tolist())


@pytest.mark.parametrize("opacity", [0.6, 1.0, 0.0])
def test_colors_are_mixed_with_the_image_where_it_is_annotated(image, label_map, opacity):
    picture = draw_label_map(image, label_map, NAMES, opacity=opacity, legend=False)
    assert picture.size == (600, 400)
    for place, color in (((199, 0), mixed(1, opacity)), ((300, 399), mixed(2, opacity)), ((250, 99), (50, 50, 50))):
        assert picture.getpixel(place) == color
    same = draw_label_map(image, label_map[..., None].astype("int64"), NAMES, opacity=opacity, legend=False)
    assert same.tobytes() == picture.tobytes()


def test_the_legend_has_the_classes_that_are_there_the_most_frequent_first(image, label_map):
    picture = np.asarray(draw_label_map(image, label_map, NAMES), int)
    assert picture.shape[0] == 400 and picture.shape[1] > 650
    legend = picture[:, 600:]
    rows = [np.flatnonzero((legend == COLORS[number]).all(axis=-1).any(axis=1)) for number in range(4)]
    assert [len(row) for row in rows] == [0, 17, 17, 0]
    assert rows[2].max() < rows[1].min()
    assert (legend[rows[2]] < 60).all(axis=-1).any()  # the name
    assert (legend[60:] == 255).all()


def test_classes_that_do_not_fit_are_counted(monkeypatch):
    texts = []
    original = draw_label_map.__globals__["font_for"]
    monkeypatch.setitem(
        draw_label_map.__globals__, "font_for", lambda text, size: texts.append(text) or original(text, size)
    )
    labels = np.arange(40).repeat(20).reshape(20, 40).astype("int32")
    draw_label_map(np.zeros((20, 40)), labels, [f"class {number}" for number in range(40)])
    rest = next(text for text in texts if text.endswith("more"))
    assert int(rest.split()[0]) + sum(text.startswith("class") for text in set(texts)) == 40


def test_small_images_are_enlarged_by_whole_pixels():
    labels = np.zeros((4, 6), int)
    labels[0, 0] = 1
    picture = draw_label_map(
        np.zeros((4, 6)), labels, NAMES, palette=[(9, 9, 9), (99, 0, 0)] * 2, opacity=1, legend=False
    )
    assert picture.size == (360, 240)
    assert picture.getpixel((59, 59)) == (99, 0, 0)
    assert picture.getpixel((60, 0)) == picture.getpixel((0, 60)) == (9, 9, 9)


def test_files_are_read_and_written(tmp_path, image, label_map):
    Image.fromarray(image).save(tmp_path / "image.png")
    picture = draw_label_map(tmp_path / "image.png", label_map, NAMES, path=tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as written:
        assert written.tobytes() == picture.tobytes() == draw_label_map(image, label_map, NAMES).tobytes()


def test_names_in_any_script_and_maps_without_classes_are_drawn(image, label_map):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = ["猫", "नमस्ते $x^2$", "", "قطة " * 50]
        assert draw_label_map(image, label_map, names).size[0] > 650
        nothing = draw_label_map(image, np.full_like(label_map, 255), NAMES)
    assert np.asarray(nothing).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (np.zeros((400, 500), int), {}, r"integers of shape \(400, 600\), the size of the image"),
        (np.zeros((400, 600)), {}, "Received: float64 of shape"),
        (np.zeros((400, 600), int), {"palette": np.zeros((3, 3))}, r"`palette` must have shape \(4, 3\)"),
        (np.zeros((400, 600), int), {"opacity": 2}, "`opacity` must be from 0 to 1"),
    ],
)
def test_refuses_what_cannot_be_drawn(image, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_label_map(image, labels, NAMES, **arguments)
