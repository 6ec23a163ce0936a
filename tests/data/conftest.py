"""Small data sets on disk: an `.npz` file and folders of images."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def arrays(rng):
    """The four arrays of a good `.npz` file: three classes, grey images of 4x5 pixels."""
    return {
        "x_train": rng.integers(0, 256, (9, 4, 5), dtype="uint8"),
        "y_train": np.array([0, 1, 2] * 3),
        "x_test": rng.integers(0, 256, (4, 4, 5), dtype="uint8"),
        "y_test": np.array([2, 1, 0, 1]),
    }


@pytest.fixture
def write_npz(tmp_path, arrays):
    """A function: writes the good arrays with `changes` (None leaves one out) and returns the path."""

    def write(**changes):
        path = tmp_path / "images.npz"
        np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
        return path

    return write


@pytest.fixture
def write_image(rng):
    """A function: writes a random picture and returns its path."""

    def write(path, mode="RGB", size=(6, 5), **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 4), dtype="uint8")).convert(mode).save(path, **options)
        return path

    return write


@pytest.fixture
def write_folder(tmp_path, write_image):
    """A function: writes pictures at the given places under a folder and returns the folder."""

    def write(*places):
        for place in places:
            write_image(tmp_path / "pictures" / place)
        return tmp_path / "pictures"

    return write
