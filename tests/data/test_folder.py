"""Folders of images: what is found in them, and what is refused."""

import numpy as np
import pytest

from keras_convnext.data import load_folder


def cut_off(path, kept=0.6):
    """Leaves the first part of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    return path


def found(images, folder):
    """The images by class: `{"cat": ["cat/0.png"]}`, paths from `folder`."""
    places = {name: [] for name in images.class_names}
    for path, label in zip(images.pixels, images.labels, strict=True):
        places[images.class_names[label]].append(path.relative_to(folder).as_posix())
    return places


def test_plain_folder(write_folder):
    folder = write_folder("dog/b.png", "cat/a.jpg", "dog/a.PNG", "cat/b.jpeg")
    data = load_folder(folder, verbose=False)
    assert data.class_names == ("cat", "dog")
    assert found(data.train, folder) == {"cat": ["cat/a.jpg", "cat/b.jpeg"], "dog": ["dog/a.PNG", "dog/b.png"]}
    assert data.validation is data.test is None
    assert data.skipped == ()


def test_images_in_sub_folders_belong_to_the_class_above(write_folder):
    folder = write_folder("cat/home/old/a.png", "cat/a.png", "dog/b.gif")
    assert found(load_folder(folder, verbose=False).train, folder) == {
        "cat": ["cat/a.png", "cat/home/old/a.png"],
        "dog": ["dog/b.gif"],
    }


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("train", "validation", "test"),
        ("Train", "Val", "Test"),
        ("training", "valid", "testing"),
        ("TRAINING", "VALIDATION", "TESTING"),
    ],
)
def test_parts(write_folder, train, validation, test):
    folder = write_folder(
        *(
            f"{train}/cat/a.png",
            f"{train}/dog/b.png",
            f"{validation}/dog/c.png",
            f"{test}/cat/d.png",
            f"{test}/dog/e.png",
        )
    )
    data = load_folder(folder, verbose=False)
    assert found(data.train, folder) == {"cat": [f"{train}/cat/a.png"], "dog": [f"{train}/dog/b.png"]}
    assert found(data.validation, folder) == {"cat": [], "dog": [f"{validation}/dog/c.png"]}
    assert found(data.test, folder) == {"cat": [f"{test}/cat/d.png"], "dog": [f"{test}/dog/e.png"]}


@pytest.mark.parametrize("names", [("train", "bus", "car"), ("valid", "invalid"), ("test", "cat", "dog")])
def test_classes_that_are_called_as_parts_are(write_folder, names):
    """They hold images, and beside them are classes of other names."""
    data = load_folder(write_folder(*(f"{name}/a.png" for name in names)), verbose=False)
    assert data.class_names == tuple(sorted(names))
    assert len(data.train) == len(names)


@pytest.mark.parametrize("places", [("train/a.png", "test/b.png"), ("Training/a.png", "Testing/b.png")])
def test_refuses_parts_without_classes(write_folder, places):
    with pytest.raises(ValueError, match=r"expected one sub-folder per class and two classes or more, got 0\."):
        load_folder(write_folder(*places), verbose=False)


@pytest.mark.parametrize("under", ["", "train/"])
def test_refuses_classes_that_hold_only_folders(write_folder, under):
    """Such as the parts of another layout, which would be told apart without a fault."""
    folder = write_folder(*(f"{under}{fold}/{name}/a.png" for fold in ("fold1", "fold2") for name in ("cat", "dog")))
    message = r"fold1: the folder of a class must hold images, and this one holds only folders \(cat, dog\)\. Expected "
    with pytest.raises(ValueError, match=message):
        load_folder(folder, verbose=False)


def test_points_to_the_folder_within_an_unpacked_archive(write_folder):
    folder = write_folder("photos/cat/a.png", "photos/dog/b.png", "__MACOSX/photos/._a.png")
    with pytest.raises(ValueError, match=r"got 1 \(photos\)\. Give .*photos instead, which holds folders"):
        load_folder(folder, verbose=False)


def test_a_training_part_alone(write_folder):
    data = load_folder(write_folder("train/cat/a.png", "train/dog/b.png"), verbose=False)
    assert data.class_names == ("cat", "dog")
    assert data.validation is data.test is None


def test_other_files_and_hidden_folders_are_no_images(write_folder):
    folder = write_folder("cat/a.png", "dog/b.png", ".cache/c.png")
    (folder / "readme.txt").write_text("cats and dogs")
    (folder / "cat" / "labels.csv").write_text("a.png,cat")
    assert found(load_folder(folder, verbose=False).train, folder) == {"cat": ["cat/a.png"], "dog": ["dog/b.png"]}


@pytest.mark.parametrize("place", ["cat/bad.jpg", "cat/bad.png", "dog/old/bad.gif"])
def test_refuses_and_names_an_image_cut_off(write_folder, place):
    folder = write_folder("cat/a.png", "dog/b.png", place)
    bad = cut_off(folder / place)
    with pytest.raises(ValueError, match=r"bad\..*`skip_unreadable=True`") as raised:
        load_folder(folder, verbose=False)
    assert str(bad) in str(raised.value)
    assert "more" not in str(raised.value)


def test_counts_the_unreadable_images(write_folder):
    folder = write_folder("cat/a.png", "cat/b.jpg", "cat/c.jpg", "dog/d.png", "dog/e.png")
    for place in ("cat/b.jpg", "cat/c.jpg", "dog/d.png"):
        cut_off(folder / place)
    with pytest.raises(ValueError, match=r"b\.jpg.*, and 2 more"):
        load_folder(folder, verbose=False)


def test_skips_the_unreadable_images_of_every_part(write_folder):
    folder = write_folder("train/cat/a.png", "train/cat/b.jpg", "train/dog/c.png", "val/cat/d.png", "val/cat/e.png")
    bad = [cut_off(folder / "train/cat/b.jpg"), cut_off(folder / "val/cat/d.png")]
    data = load_folder(folder, skip_unreadable=True, verbose=False)
    assert data.skipped == tuple(bad)
    assert found(data.train, folder) == {"cat": ["train/cat/a.png"], "dog": ["train/dog/c.png"]}
    assert found(data.validation, folder) == {"cat": ["val/cat/e.png"], "dog": []}


def test_refuses_a_class_left_without_images(write_folder):
    folder = write_folder("cat/a.png", "dog/b.png")
    cut_off(folder / "dog/b.png")
    with pytest.raises(ValueError, match="no readable image of class 'dog'"):
        load_folder(folder, skip_unreadable=True, verbose=False)


def test_refuses_a_class_folder_without_images(write_folder):
    folder = write_folder("cat/a.png", "dog/b.png")
    (folder / "hen").mkdir()
    with pytest.raises(ValueError, match="no readable image of class 'hen'"):
        load_folder(folder, verbose=False)


@pytest.mark.parametrize("part", ["val", "test"])
def test_refuses_a_part_without_images(write_folder, part):
    folder = write_folder("train/cat/a.png", "train/dog/b.png")
    (folder / part / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"{part}: no readable image"):
        load_folder(folder, verbose=False)


@pytest.mark.parametrize("part", ["val", "test"])
def test_refuses_a_class_that_training_has_not(write_folder, part):
    folder = write_folder("train/cat/a.png", "train/dog/b.png", f"{part}/hen/c.png")
    with pytest.raises(ValueError, match="no class 'hen', only cat, dog"):
        load_folder(folder, verbose=False)


def test_refuses_two_folders_of_validation_images(write_folder):
    folder = write_folder("train/cat/a.png", "train/dog/b.png", "val/cat/c.png", "validation/cat/d.png")
    with pytest.raises(ValueError, match="both val and validation are there; keep one"):
        load_folder(folder, verbose=False)


def test_refuses_parts_without_one_for_training(write_folder):
    with pytest.raises(ValueError, match="found Test, val, but no train"):
        load_folder(write_folder("val/cat/a.png", "Test/cat/b.png"), verbose=False)


def test_refuses_a_part_that_it_does_not_know(write_folder):
    folder = write_folder("train/cat/a.png", "train/dog/b.png", "extra/cat/c.png")
    with pytest.raises(ValueError, match="beside train expected folders of the parts, such as val and test, got extra"):
        load_folder(folder, verbose=False)


@pytest.mark.parametrize("place, got", [("cat/a.png", r"got 1 \(cat\)"), ("a.png", r"got 0\.")])
@pytest.mark.parametrize("under", ["", "train/"])
def test_refuses_fewer_than_two_classes(write_folder, under, place, got):
    with pytest.raises(ValueError, match=f"two classes or more, {got}"):
        load_folder(write_folder(under + place), verbose=False)


def test_refuses_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"No such file or folder: .*nowhere"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "notes").write_text("a file")
    with pytest.raises(ValueError, match="notes: expected a folder of images, got a file"):
        load_folder(tmp_path / "notes")


def test_shows_progress_unless_told_not_to(write_folder, capsys):
    folder = write_folder("cat/a.png", "dog/b.png")
    load_folder(folder, verbose=False)
    assert capsys.readouterr().out == ""
    load_folder(folder)
    assert "2/2" in capsys.readouterr().out


def test_the_order_of_the_images_is_fixed(write_folder):
    folder = write_folder(*(f"{name}/{number}.png" for number in range(5) for name in ("dog", "cat")))
    first, second = (load_folder(folder, verbose=False).train for _ in range(2))
    assert first.pixels == second.pixels == sorted(first.pixels)
    np.testing.assert_array_equal(first.labels, [0] * 5 + [1] * 5)
