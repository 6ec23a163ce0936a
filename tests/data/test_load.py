"""Which loader a source goes to."""

import pytest

from keras_convnext.data import load_data


@pytest.mark.parametrize("source", [(), ("digits",)])
def test_digits(source):
    assert len(load_data(*source).train) == 1438


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_npz_file(write_npz, kind):
    assert load_data(kind(write_npz())).class_names == ("0", "1", "2")


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_folder(write_folder, kind):
    assert load_data(kind(write_folder("cat/a.png", "dog/b.png")), verbose=False).class_names == ("cat", "dog")


def test_folder_with_an_unreadable_image(write_folder):
    folder = write_folder("cat/a.png", "dog/b.png", "dog/c.png")
    (folder / "dog/c.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"c\.png"):
        load_data(folder, verbose=False)
    assert load_data(folder, skip_unreadable=True, verbose=False).skipped == (folder / "dog/c.png",)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz"])
def test_refuses_what_is_not_there(tmp_path, name):
    with pytest.raises(ValueError) as raised:
        load_data(tmp_path / name)
    expected = "Expected `digits`, an .npz file, a folder of images or tfds:NAME."
    assert str(raised.value) == f"No such file or folder: {tmp_path / name}. {expected}"


def test_refuses_what_is_no_data(tmp_path):
    (tmp_path / "notes.txt").write_text("no data")
    with pytest.raises(ValueError, match=r"notes\.txt: expected `digits`, an \.npz file, a folder"):
        load_data(tmp_path / "notes.txt")


def test_an_empty_name_is_not_the_folder_one_is_in():
    with pytest.raises(ValueError, match=r"^'': expected `digits`"):
        load_data("")
