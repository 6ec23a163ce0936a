"""What pictures of predictions share: colours, fonts, and the grid."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext import drawing
from keras_convnext.drawing import as_rgb, class_colors, draw_grid, enlargement, font_for, shortened, text_color

pytestmark = pytest.mark.once


def test_colors_differ_and_do_not_depend_on_the_number_of_classes():
    colors = class_colors(150)
    assert len({tuple(color) for color in colors.tolist()}) == 150
    np.testing.assert_array_equal(class_colors(7), colors[:7])
    neighbours = np.abs(colors[1:].astype(int) - colors[:-1]).sum(axis=1)
    assert neighbours.min() > 100
    assert class_colors(0).shape == (0, 3)


@pytest.mark.parametrize(
    ("background", "color"),
    [((255, 255, 0), 0), ((128, 128, 128), 0), ((110, 110, 110), 255), ((0, 0, 255), 255), ((255, 0, 0), 0)],
)
def test_text_is_black_or_white_by_its_contrast(background, color):
    """The contrasts of black and white are 5.3 and 3.9 on grey of 128, 4.1 and 5.1 of 110; on red 5.3 and 4.0."""
    assert text_color(background) == (color,) * 3


def test_images_become_rgb():
    grey = np.array([[0.0, 300.0]])
    for image in (grey, grey[..., None], grey[..., None].repeat(4, axis=-1)):
        assert as_rgb(image).tolist() == [[[0] * 3, [255] * 3]]
    assert as_rgb(np.array([[[1, 2, 3]]], "uint8")).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 3, 3, 3)), r"Received shape: \(2, 3, 3, 3\)"),
        (np.zeros((0, 3, 3)), r"Received shape: \(0, 3, 3\)"),
        (np.array([[np.nan]]), "Received: NaN or Inf"),
    ],
)
def test_refuses_what_is_no_image(image, message):
    with pytest.raises(ValueError, match=message):
        as_rgb(image)


def test_small_images_are_enlarged():
    assert [enlargement(side, 480) for side in (8, 64, 479, 480, 2000)] == [60, 8, 2, 1, 1]


def test_names_fit_a_line():
    assert shortened("a\n  b") == "a b"
    assert shortened("x" * 31) == "x" * 29 + "…"
    assert shortened(7) == "7"


def test_fonts_have_the_characters_where_one_is_installed(monkeypatch):
    """DejaVu Sans, if it has all; else another one that has; else DejaVu Sans again, and never placeholders."""
    monkeypatch.setattr(drawing, "_font_path", drawing._font_path.__wrapped__)
    assert font_for("cat собака", 12).getname()[0] == "DejaVu Sans"
    monkeypatch.setattr(drawing, "_characters", lambda path: {ord("猫")} if path.endswith("STIXGeneral.ttf") else set())
    assert font_for("猫", 12).getname()[0] == "STIXGeneral"
    assert font_for("犬", 12).getname()[0] == "DejaVu Sans"


def test_the_grid_places_pictures_row_by_row(tmp_path):
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    pictures = [Image.new("RGB", (40, 20), colors[0]), Image.new("RGB", (10, 20), colors[1])]
    pictures.append(Image.new("RGB", (400, 100), colors[2]))
    grid = draw_grid(pictures, columns=2, cell=80, path=tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as written:
        assert written.tobytes() == grid.tobytes()
    assert grid.size == (2 * 80 + 3 * 6, 20 + 20 + 3 * 6)  # the last one was reduced to (80, 20)
    assert grid.getpixel((6 + 40, 6 + 10)) == colors[0]
    assert grid.getpixel((6 + 80 + 6 + 40, 6 + 10)) == colors[1]
    assert grid.getpixel((7, 6 + 20 + 6 + 10)) == grid.getpixel((84, 42)) == colors[2]
    assert grid.getpixel((8, 16)) == grid.getpixel((100, 42)) == (255, 255, 255)


def test_captions_are_above_their_pictures_and_cut_to_their_width():
    pictures = [Image.new("RGB", (60, 20), "white")] * 2
    plain = np.asarray(draw_grid(pictures, columns=1))
    grid = np.asarray(draw_grid(pictures, ["first", "a caption that is much longer than the picture"], columns=1))
    assert grid.shape[1] == plain.shape[1] and (grid < 100).any()
    is_dark = (grid < 100).any(axis=(1, 2))
    above = (len(grid) - len(plain)) // 2
    assert is_dark[6 : 6 + above].any() and is_dark[6 + above + 26 : 6 + 2 * above + 26].any()
    assert not is_dark[6 + above : 6 + above + 26].any()
    assert not (grid[:, :3] < 100).any() and not (grid[:, -3:] < 100).any()


@pytest.mark.parametrize("captions", [None, ["one", "two"]])
def test_refuses_a_grid_of_nothing(captions):
    with pytest.raises(ValueError, match="Expected one or more pictures"):
        draw_grid([] if captions is None else [Image.new("RGB", (4, 4))], captions)
