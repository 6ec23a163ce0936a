"""Folders of images with label maps, as ADE20K comes, and their faults."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import AnnotatedBatches, load_segmentation_folder

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path, rng):
    """Two training images and a validation image, whose label maps have the values 0 to 4."""
    for place in ("training/a", "training/b", "validation/c"):
        write(tmp_path / "images" / f"{place}.jpg", rng.integers(0, 256, (6, 8, 3)))
        write(tmp_path / "annotations" / f"{place}.png", np.arange(48).reshape(6, 8) % 5)
    return tmp_path


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path, **options)


def load(folder, *arguments, **options):
    return load_segmentation_folder(folder, *arguments, **{"verbose": False, "reduce_zero_label": True, **options})


def test_0_is_not_annotated(folder):
    data = load(folder)
    assert data.class_names == ("0", "1", "2", "3")
    assert [path.name for path in data.train.pixels] == ["a.jpg", "b.jpg"] and len(data.validation) == 1
    label_map = data.train.annotations[0].label_map
    assert label_map.dtype == np.uint8 and label_map[0].tolist() == [255, 0, 1, 2, 3, 255, 0, 1]
    assert len(data.train.annotations[0].boxes) == 0
    _, batch = AnnotatedBatches(data.train, 2, (6, 8), target="label_map")[0]
    assert (batch == label_map).all()


def test_0_is_a_class_unless_the_folder_has_names_as_ade20k_has(folder):
    assert load(folder, reduce_zero_label=None).class_names == ("0", "1", "2", "3", "4")
    (folder / "objectInfo150.csv").write_text("Idx,Name\n1,wall\n2,building\n3,sky\n4,bed")
    data = load(folder, reduce_zero_label=None)
    assert data.class_names == ("wall", "building", "sky", "bed")
    assert data.train.annotations[0].label_map[0].tolist() == [255, 0, 1, 2, 3, 255, 0, 1]


def test_tells_of_classes_that_never_occur(folder, capsys):
    load(folder, reduce_zero_label=None, verbose=True)
    assert "no label map has the classes" not in capsys.readouterr().err
    write(folder / "annotations/training/a.png", np.full((6, 8), 200))
    assert len(load(folder, reduce_zero_label=None, verbose=True).class_names) == 201
    assert "no label map has the classes 5, 6, 7, 8, 9 ..., and the greatest class is 200" in capsys.readouterr().err


def test_0_is_the_first_class_if_told(folder):
    data = load(folder, reduce_zero_label=False)
    assert data.class_names == ("0", "1", "2", "3", "4")
    assert data.train.annotations[0].label_map[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize("reduce_zero_label", [True, False])
def test_255_is_not_annotated(folder, reduce_zero_label):
    write(folder / "annotations/training/a.png", np.full((6, 8), 255))
    label_map = load(folder, reduce_zero_label=reduce_zero_label).train.annotations[0].label_map
    assert (label_map == 255).all()


def test_a_palette_is_no_colour(folder):
    image = Image.fromarray(np.full((6, 8), 3, "uint8"), "P")
    image.putpalette([9, 9, 9, 200, 0, 0] * 4)
    image.save(folder / "annotations/training/a.png")
    assert (load(folder).train.annotations[0].label_map == 2).all()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "objectInfo150.txt",
            "Idx\tRatio\tStuff\tName\n1\t0.1\t1\twall\n2\t0.1\t1\tbuilding, edifice\n3\t.1\t0\tsky\n4\t.1\t0\tbed ",
        ),
        ("objectInfo150.csv", 'Idx,Ratio,Name\n1,0.1,wall\n2,0.1,building;edifice\n3,.1,"sky"\n4,.1,bed'),
    ],
)
def test_names_of_classes_from_a_table(folder, file, text):
    (folder / file).write_text(text)
    assert load(folder).class_names == ("wall", "building", "sky", "bed")
    assert load(folder, ["a", "b", "c", "d"]).class_names == ("a", "b", "c", "d")
    (folder / file).write_text("no table")
    with pytest.raises(ValueError, match="expected a table with a column Name"):
        load(folder)


def remove_image(folder):
    (folder / "images/training/a.jpg").unlink()


def remove_label_map(folder):
    (folder / "annotations/training/a.png").unlink()


def cut_image_off(folder):
    path = folder / "images/training/a.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def change_size(folder):
    write(folder / "annotations/training/a.png", np.zeros((8, 6)))


def colour(folder):
    write(folder / "annotations/training/a.png", np.zeros((6, 8, 3)))


def add_class(folder):
    write(folder / "annotations/training/a.png", np.full((6, 8), 9))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_image, r"annotations/training/a\.png: expected an image of the same name in .*images/training"),
        (remove_label_map, r"images/training/a\.jpg: expected a label map of the same name in .*annotations/training"),
        (cut_image_off, r"images/training/a\.jpg: not a readable image"),
        (change_size, r"a\.png: expected the size of its image, height 6 and width 8, got height 8 and width 6"),
        (colour, r"a\.png: not a readable image \(expected one number per pixel.*got mode RGB"),
        (add_class, r"a\.png: expected values of 4 classes, 1 to 4, got 9"),
    ],
)
def test_a_bad_image_is_refused_and_named_or_skipped_and_listed(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ValueError, match=rf"{message}.*`skip_bad=True`"):
        load(folder, "abcd")
    data = load(folder, "abcd", skip_bad=True)
    assert len(data.bad_records) == 1 and [path.name for path in data.train.pixels] == ["b.jpg"]


def test_refuses_other_folders(folder, tmp_path):
    for place, message in (
        ("nowhere", "No such file or folder"),
        ("images", "expected the folders images and annotations"),
    ):
        with pytest.raises(ValueError, match=message):
            load(folder / place)
    (folder / "images/extra").mkdir()
    with pytest.raises(ValueError, match="extra: expected one folder per part"):
        load(folder)
    (folder / "images/extra").rename(folder / "images/test")
    with pytest.raises(ValueError, match=r"test: expected its label maps in .*annotations/test"):
        load(folder)
    (folder / "annotations/test").mkdir()
    with pytest.raises(ValueError, match="test: expected one image or more with a label map"):
        load(folder)
