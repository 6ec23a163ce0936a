"""One way in: the name or path of a data set."""

from pathlib import Path

from keras_convnext.data.digits import load_digits
from keras_convnext.data.folder import load_folder
from keras_convnext.data.npz import load_npz
from keras_convnext.data.tfds import load_tfds

TFDS = "tfds:"


def load_data(source="digits", skip_unreadable=False, verbose=True):
    """Loads a data set, checked.

    Args:
        source: `"digits"` (bundled), the path of an `.npz` file (see `load_npz`) or of a folder (see `load_folder`),
            or `"tfds:NAME"` (see `load_tfds`).
        skip_unreadable: bool, leave out image files that cannot be read. Defaults to False.
        verbose: bool, show a progress bar where files are checked. Defaults to True.

    Returns:
        `ImageData`.

    Raises:
        ValueError: nothing there, or what is there is not such a data set.
    """
    if str(source) == "digits":
        return load_digits()
    if str(source).startswith(TFDS):
        return load_tfds(str(source).removeprefix(TFDS))
    path = Path(source)
    if str(source) and path.is_dir():  # an empty name, such as of an unset shell variable, is not this folder
        return load_folder(path, skip_unreadable, verbose)
    if path.suffix == ".npz" and path.is_file():
        return load_npz(path)
    raise ValueError(
        f"{source or repr(source)}: expected `digits`, an .npz file, a folder of images or tfds:NAME, and found none."
    )


def is_name(source):
    """Whether a source is the name of a data set, and not a path."""
    return source == "digits" or source.startswith(TFDS)
