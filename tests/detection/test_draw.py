"""Boxes on images: the pixels of frames, labels and the image at the places where they must be."""

import warnings

import numpy as np
import pytest
from PIL import Image

from keras_convnext.detection import draw_boxes
from keras_convnext.drawing import class_colors, font_for, text_color

pytestmark = pytest.mark.once

NAMES = ["cat", "dog", "bird"]
GREY = (90, 90, 90)
COLORS = [tuple(color) for color in class_colors(20).tolist()]


def scene(height=480, width=640):
    return np.full((height, width, 3), 90, "uint8")


def found(*boxes, confidence=None, classes=None):
    count = len(boxes)
    return {
        "boxes": np.array(boxes, "float32").reshape(-1, 4),
        "confidence": np.array(confidence or [0.9] * count),
        "classes": np.array(classes or [0] * count),
    }


def test_a_frame_is_inside_of_its_box_in_the_color_of_the_class():
    picture = draw_boxes(scene(), found([100, 200, 300, 400], classes=[1]), NAMES)
    assert picture.size == (640, 480)
    for corner in ((100, 200), (299, 200), (100, 399), (299, 399), (102, 300), (200, 398)):
        assert picture.getpixel(corner) == COLORS[1], corner
    for outside in ((99, 300), (300, 300), (200, 400), (299, 400), (104, 300), (200, 300)):
        assert picture.getpixel(outside) == GREY, outside


def test_the_label_is_above_the_box_and_inside_it_at_the_upper_edge():
    for top, first in ((200, 200 - 21), (0, 0)):
        picture = draw_boxes(scene(), found([100, top, 300, 400]), NAMES)
        pixels = np.asarray(picture)[first : first + 21, 100:160]
        assert (pixels == COLORS[0]).all(axis=-1).mean() > 0.5
        assert (pixels == text_color(COLORS[0])).all(axis=-1).any()
        below = np.asarray(picture)[first + 21 : first + 40, 110:160]
        assert not (below == text_color(COLORS[0])).all(axis=-1).any()


def test_the_text_is_class_and_confidence(monkeypatch):
    texts = texts_of(monkeypatch)
    draw_boxes(scene(), found([9, 99, 60, 160], [99, 99, 160, 160], confidence=[0.256, 0.9], classes=[2, 3]), NAMES)
    assert texts == ["3 0.90", "bird 0.26"]  # the surest first; a class without a name is its number


def texts_of(monkeypatch):
    """The texts that are written, in their order."""
    texts = []
    monkeypatch.setattr(
        "keras_convnext.detection.draw.write_label", lambda canvas, corner, text, *_: texts.append(text)
    )
    return texts


def test_the_surest_detection_is_above_the_others():
    boxes = [[100, 200, 300, 400]] * 2
    for confidence, color in (([0.9, 0.8], COLORS[1]), ([0.8, 0.9], COLORS[2])):
        picture = draw_boxes(scene(), found(*boxes, confidence=confidence, classes=[1, 2]), NAMES)
        assert picture.getpixel((100, 300)) == color


def test_labels_of_one_place_do_not_cover_each_other(monkeypatch):
    corners = []
    monkeypatch.setattr("keras_convnext.detection.draw.write_label", lambda canvas, corner, *_: corners.append(corner))
    draw_boxes(scene(), found(*[[100, 200, 300, 400]] * 4), NAMES, truth=found([100, 200, 300, 400]))
    assert len(set(corners)) == 5
    assert corners[0] == (100, 200 - 21)


def test_truth_is_dashed_in_black_and_white_with_its_class_below():
    picture = draw_boxes(scene(), class_names=NAMES, truth=found([100, 200, 300, 400]))
    line = np.asarray(picture)[201, 100:300]
    assert {tuple(pixel) for pixel in line.tolist()} == {(0, 0, 0), (255, 255, 255)}
    assert picture.getpixel((104, 300)) == GREY
    label = np.asarray(picture)[402:418, 100:120]
    assert (label == 255).mean() > 0.4 and (label < 60).any()


def test_small_images_and_their_boxes_are_enlarged():
    image = scene(60, 60)
    image[30, 30] = 255
    picture = draw_boxes(image, found([10, 20, 40, 50]), NAMES)
    assert picture.size == (480, 480)
    assert picture.getpixel((80, 300)) == picture.getpixel((319, 300)) == COLORS[0]
    assert picture.getpixel((79, 300)) == picture.getpixel((320, 300)) == GREY
    assert picture.getpixel((240, 240)) == picture.getpixel((247, 247)) == (255, 255, 255)


def test_boxes_over_the_edge_are_cut_and_those_outside_left_out():
    edges = [[-50, 100, 60, 200], [600, 300, 900, 460], [0, 470, 640, 500]]
    picture = draw_boxes(scene(), found(*edges, [700, 0, 800, 90], [-9, -9, 0, 0], classes=[0, 1, 2, 1, 1]), NAMES)
    assert picture.getpixel((0, 150)) == COLORS[0]
    assert picture.getpixel((639, 400)) == COLORS[1]
    assert picture.getpixel((320, 479)) == COLORS[2]
    assert picture.tobytes() == draw_boxes(scene(), found(*edges, classes=[0, 1, 2]), NAMES).tobytes()


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 1), (480, 640, 2)])
def test_grey_images(shape):
    picture = draw_boxes(np.full(shape, 90.0), found([100, 200, 300, 400]), NAMES)
    assert picture.getpixel((50, 50)) == GREY and picture.getpixel((100, 300)) == COLORS[0]


def test_files_are_read_and_written(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "image.png")
    picture = draw_boxes(tmp_path / "image.png", found([9, 99, 90, 200]), NAMES, path=tmp_path / "boxes.png")
    with Image.open(tmp_path / "boxes.png") as written:
        assert written.tobytes() == picture.tobytes() == draw_boxes(scene(), found([9, 99, 90, 200]), NAMES).tobytes()


def test_padding_and_unsure_detections_are_not_drawn():
    boxes = [[100, 200, 300, 400], [-1, -1, -1, -1], [400, 200, 500, 400]]
    detections = found(*boxes, confidence=[0.9, -1, 0.2], classes=[0, -1, 1])
    expected = draw_boxes(scene(), found(boxes[0]), NAMES)
    assert draw_boxes(scene(), detections, NAMES, min_confidence=0.5).tobytes() == expected.tobytes()
    nothing = draw_boxes(scene(), found(), NAMES)
    assert np.asarray(nothing).tobytes() == scene().tobytes() == draw_boxes(scene()).tobytes()


@pytest.mark.parametrize("name", ["猫", "собака", "قطة", "नमस्ते", "", "\n", "🐈", "$x^2$", "long " * 50])
def test_names_in_any_script_are_drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = draw_boxes(scene(), found([100, 200, 300, 400]), [name], truth=found([100, 200, 300, 400]))
    assert (np.asarray(picture)[180:200, 101:600] != 90).any()
    assert font_for(name, 13).getname()[0] != "Last Resort High-Efficiency"


def test_own_colors():
    picture = draw_boxes(scene(), found([100, 200, 300, 400]), NAMES, colors=np.full((3, 3), 7))
    assert picture.getpixel((100, 300)) == (7, 7, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"detections": found([0, 0, np.nan, 9])}, "`detections` must be finite"),
        ({"detections": found([0, 0, 9, 9], confidence=[np.inf])}, "`detections` must be finite"),
        ({"detections": {"boxes": [], "classes": []}}, "`detections` must have .* Missing: confidence"),
        ({"truth": {"boxes": np.zeros((1, 2, 4)), "classes": np.zeros((1, 2))}}, r"of one image.* classes \(1, 2\)"),
        ({"min_confidence": 2}, "`min_confidence` must be from 0 to 1"),
        ({"colors": np.zeros((2, 3))}, "a colour for each of 3 classes. Received: 2"),
    ],
)
def test_refuses_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_boxes(scene(), class_names=NAMES, **arguments)
