"""`.npz` files: what is read, and that each bad file is refused with the file's name and the reason."""

import tracemalloc

import numpy as np
import pytest

from keras_convnext.data import load_npz


def test_reads_grey_images_without_a_channel_axis(write_npz, arrays):
    data = load_npz(write_npz())
    np.testing.assert_array_equal(data.train.pixels, arrays["x_train"][..., None])
    np.testing.assert_array_equal(data.test.pixels, arrays["x_test"][..., None])
    np.testing.assert_array_equal(data.train.labels, arrays["y_train"])
    np.testing.assert_array_equal(data.test.labels, arrays["y_test"])
    assert data.train.pixels.dtype == np.uint8
    assert data.class_names == data.test.class_names == ("0", "1", "2")
    assert data.validation is None


def test_the_line_that_the_error_names_mends_channels_first(write_npz, rng):
    first = {"x_train": rng.integers(0, 256, (9, 3, 32, 24)), "x_test": np.full((4, 3, 32, 24), 200)}
    last = {name: np.moveaxis(array, -3, -1) for name, array in first.items()}
    assert load_npz(write_npz(**last)).train.pixels.shape == (9, 32, 24, 3)


@pytest.mark.parametrize("shape", [(8, 16, 13), (4, 5, 3), (3, 3, 3), (1, 28, 1), (2, 2, 5), (32, 32, 4)])
def test_images_of_odd_shapes_are_channels_last(write_npz, shape):
    data = load_npz(write_npz(x_train=np.zeros((9, *shape), "uint8"), x_test=np.zeros((4, *shape), "uint8")))
    assert data.train.pixels.shape == (9, *shape)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_reads_images_of_any_number_of_channels(write_npz, rng, channels):
    x_train, x_test = (rng.integers(0, 256, (count, 4, 5, channels), dtype="uint8") for count in (9, 4))
    data = load_npz(write_npz(x_train=x_train, x_test=x_test))
    np.testing.assert_array_equal(data.train.pixels, x_train)
    np.testing.assert_array_equal(data.test.pixels, x_test)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int64"])
def test_pixels_in_0_to_255_of_other_types_become_float32(write_npz, arrays, dtype):
    data = load_npz(write_npz(x_train=arrays["x_train"].astype(dtype), x_test=arrays["x_test"].astype(dtype)))
    assert data.train.pixels.dtype == np.float32
    np.testing.assert_array_equal(data.train.pixels[..., 0], arrays["x_train"])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64"])
def test_reads_labels_of_shape_count_by_one_and_any_integer_type(write_npz, arrays, dtype):
    data = load_npz(write_npz(y_train=arrays["y_train"][:, None].astype(dtype)))
    np.testing.assert_array_equal(data.train.labels, arrays["y_train"])


def test_reads_class_names(write_npz):
    data = load_npz(write_npz(class_names=np.array(["cat", "dog", "hen"])))
    assert data.class_names == data.test.class_names == ("cat", "dog", "hen")


def test_reads_a_compressed_file(tmp_path, arrays):
    np.savez_compressed(tmp_path / "images.npz", **arrays)
    assert len(load_npz(tmp_path / "images.npz").train) == 9


def of_objects(array):
    """The same values as Python objects, which NumPy pickles."""
    return array.astype(object)


IMAGES = np.arange(9 * 4 * 5, dtype="uint8").reshape(9, 4, 5)

REFUSED = {
    "an array missing": ({"y_test": None}, "y_test missing. It holds: x_train, y_train, x_test"),
    "three arrays missing": ({"x_train": None, "y_train": None, "x_test": None}, "x_train, y_train, x_test missing"),
    "pickled images": ({"x_train": of_objects(IMAGES)}, "Object arrays"),
    "pickled labels": ({"y_test": of_objects(np.array([0, 1, 2, 0]))}, "Object arrays"),
    "labels that are text": (
        {"y_train": np.array(["a", "b", "c"] * 3)},
        r"y_train: expected whole numbers.* numpy\.unique\(array, return_inverse=True\)",
    ),
    "labels that are floats": (
        {"y_train": np.array([0.0, 1.0, 2.0] * 3)},
        r"y_train: expected whole numbers.* take array\.astype\(\"int64\"\)",
    ),
    "labels that are fractions": ({"y_train": np.full(9, 0.5)}, r"y_train: expected whole numbers .* \(9,\)\.$"),
    "one-hot labels": (
        {"y_train": np.eye(3, dtype=int)[[0, 1, 2] * 3]},
        r"y_train: expected whole numbers.* take array\.argmax\(axis=1\)",
    ),
    "a label alone": ({"y_train": np.array(3)}, "y_train: expected whole numbers"),
    "no labels": ({"x_test": IMAGES[:0], "y_test": np.zeros(0, int)}, "y_test: no labels"),
    "a negative label": ({"y_train": np.array([0, 1, -1] * 3)}, "y_train: labels go from 0 up, got -1"),
    "a test label without a class": ({"y_test": np.array([0, 1, 2, 3])}, "y_test has the label 3"),
    "a train label without a name": (
        {"class_names": np.array(["cat", "dog"])},
        "labels out of range.* goes up to 2, but class_names has 2",
    ),
    "labels from 1": ({"y_train": np.array([1, 2, 3] * 3)}, "no image with the label 0"),
    "one name too many": ({"class_names": np.array(list("abcd"))}, "no image with the label 3"),
    "one class": ({"y_train": np.zeros(9, int), "y_test": np.zeros(4, int)}, "two classes or more"),
    "fewer labels than images": ({"y_train": np.array([0, 1, 2])}, "9 images in x_train, but 3 labels in y_train"),
    "images of two shapes": ({"x_test": np.full((4, 5, 5), 9)}, r"differ in shape: \(4, 5, 1\) and \(5, 5, 1\)"),
    "a single image": ({"x_train": IMAGES[0]}, r"x_train: expected .*images of shape .* \(4, 5\)"),
    "images without pixels": ({"x_train": np.zeros((9, 0, 0)), "x_test": np.zeros((4, 0, 0))}, "x_train"),
    "images that are text": ({"x_train": np.full((9, 4, 5), "a")}, "x_train"),
    "pixels in 0..1": (
        {"x_train": IMAGES / 255},
        r"x_train: expected pixels in 0\.\.255, got 0\.\.0\.7.*Scale them first: \(array \* 255\)\.round\(\)\.astype\(",
    ),
    "normalized pixels": ({"x_test": np.linspace(-2, 2, 80).reshape(4, 4, 5)}, r"x_test: expected .* got -2\.\.2"),
    "pixels of 16 bits": (
        {"x_train": IMAGES.astype("uint16") * 257},
        r"x_train: expected .* got 0\.\.46003\. Scale them first, of 16 bits: \(array / 257\)\.round",
    ),
    "channels first": (
        {"x_train": np.zeros((9, 3, 32, 32), "uint8")},
        r"x_train: expected shape \(count, height, width, channels\)\. Received: \(9, 3, 32, 32\), which looks "
        r"like \(count, channels, height, width\)\. Move the channels: numpy\.moveaxis\(array, -3, -1\)",
    ),
    "one channel first": ({"x_test": np.zeros((4, 1, 28, 24), "uint8")}, "x_test: .* looks like .count, channels"),
    "many channels first": ({"x_train": np.zeros((9, 13, 64, 64), "uint8")}, "x_train: .* looks like .count, channels"),
    "images in the last axis": (
        {"x_train": np.zeros((32, 32, 3, 9), "uint8")},
        r"32 images in x_train, but 9 labels in y_train\. .* take numpy\.moveaxis\(array, -1, 0\)",
    ),
    "pixels that are no numbers": ({"x_train": np.full((9, 4, 5), np.nan)}, "x_train: expected pixels"),
}


@pytest.mark.parametrize("changes, message", REFUSED.values(), ids=REFUSED)
def test_refuses(write_npz, changes, message):
    path = write_npz(**changes)
    with pytest.raises(ValueError, match=message) as raised:
        load_npz(path)
    assert str(path) in str(raised.value)


def test_refuses_a_label_out_of_all_bounds_without_counting_up_to_it(write_npz):
    path = write_npz(y_train=np.array([0, 1, 300_000] * 3))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="labels out of range"):
            load_npz(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"No such file or folder: .*nowhere\.npz$"):
        load_npz(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("content", [b"", b"x_train,y_train\n1,2\n", b"\x80\x04K\x01.", bytes(100)])
def test_refuses_a_file_that_is_no_archive(tmp_path, content):
    path = tmp_path / "images.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.npz: not a readable"):
        load_npz(path)


def test_refuses_a_single_array_by_the_name_of_an_archive(tmp_path, arrays):
    path = tmp_path / "images.npz"
    with path.open("wb") as file:
        np.save(file, arrays["x_train"])
    with pytest.raises(ValueError, match=r"images\.npz"):
        load_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_refuses_a_file_cut_off_anywhere(tmp_path, arrays, save):
    path = tmp_path / "images.npz"
    save(path, **arrays)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"images\.npz"):
            load_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_altered_byte_is_refused_or_changes_nothing(tmp_path, arrays, save):
    path = tmp_path / "images.npz"
    save(path, **arrays)
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        altered = bytearray(whole)
        altered[position] ^= 0x11
        path.write_bytes(altered)
        try:
            data = load_npz(path)
        except ValueError as error:
            assert "images.npz" in str(error), position
        else:
            np.testing.assert_array_equal(data.train.pixels[..., 0], arrays["x_train"])
            np.testing.assert_array_equal(data.test.labels, arrays["y_test"])
