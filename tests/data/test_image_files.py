"""Which files of a folder are images, and what is said of those that are none."""

import pytest
from PIL import Image

from keras_convnext.data import find_images, load_folder, read_image
from keras_convnext.data.image_files import describe_left_out

HIDDEN = ("._a.png", ".a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/._a.png", "Thumbs.db", "desktop.ini")
FORMATS = {"a.jfif": "JPEG", "a.avif": "AVIF", "a": "PNG", "a.JPG": "JPEG", "a.jpe": "JPEG", "a.download": "WEBP"}


@pytest.fixture
def folder(tmp_path, rng):
    """A folder of one class with a picture for each of `FORMATS`, hidden files, and files that are no images."""
    for name, kind in FORMATS.items():
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype="uint8")).save(tmp_path / name, kind)
    for name in HIDDEN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "a").read_bytes())
    (tmp_path / "labels.csv").write_text("a.png,cat")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_images_are_those_that_can_be_read(folder):
    images, left_out = find_images(folder)
    assert [image.name for image in images] == sorted(FORMATS)
    assert all(read_image(image).shape == (8, 8, 3) for image in images)
    names = [file.relative_to(folder).as_posix() for file in left_out]
    assert names == sorted([*HIDDEN, "labels.csv", "empty"])


def test_one_line_counts_what_is_left_out(folder):
    line = describe_left_out(find_images(folder)[1], folder)
    assert line == f"{folder}: 8 files are left out: 6 hidden, 2 not an image (empty, labels.csv)"


def test_a_hidden_folder_above_the_data_hides_nothing(tmp_path, write_image):
    images = [write_image(tmp_path / ".cache" / "pets" / name) for name in ("a.png", "b.png")]
    assert find_images(tmp_path / ".cache" / "pets") == (images, [])


def test_a_picture_that_cannot_be_read_is_not_passed_over(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"ftypheic")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    assert [image.name for image in find_images(tmp_path)[0]] == ["a.heic", "b.png"]


def test_a_data_set_has_the_same_images(write_folder, capsys):
    places = ("dog/a.png", "cat/b.png", "stray.png", "__MACOSX/c.png", "cat/.ipynb_checkpoints/b-checkpoint.png")
    folder = write_folder(*places)
    (folder / "dog" / "a.png").rename(folder / "dog" / "a")
    (folder / "notes.txt").write_text("cats and dogs")
    data = load_folder(folder, verbose=False)
    assert capsys.readouterr().err == ""
    assert data.train.pixels == [folder / "cat" / "b.png", folder / "dog" / "a"]
    assert len(data.left_out) == 4
    load_folder(folder)
    line = f"{folder}: 4 files are left out: 2 hidden, 1 in no class (stray.png), 1 not an image (notes.txt)\n"
    assert capsys.readouterr().err == line
