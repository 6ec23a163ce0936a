"""Loading any data set by its name or path."""

from pathlib import Path

from keras_convnext.data.digits import load_digits
from keras_convnext.data.folder import load_folder
from keras_convnext.data.imagenet_folder import is_imagenet, load_imagenet
from keras_convnext.data.images import ImageData
from keras_convnext.data.load_annotated import DIGIT_SCENES, STAMPS
from keras_convnext.data.npz import load_npz
from keras_convnext.data.shards import is_shard_folder, load_shards
from keras_convnext.data.tfds import load_tfds

TFDS = "tfds:"
NAMES = ("digits", DIGIT_SCENES)


def load_data(source: str | Path = "digits", skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
    """Loads a data set and checks it.

    Args:
        source: `"digits"` (bundled), the path of an `.npz` file (see `load_npz`) or of a folder (see `load_folder`,
            `load_imagenet` for Kaggle's layout, and `load_shards` for shards), or `"tfds:NAME"` (see `load_tfds`).
        skip_unreadable: whether to leave out image files that cannot be read. Defaults to False.
        verbose: whether to show a progress bar while files are checked. Defaults to True.

    Returns:
        `ImageData`.

    Raises:
        ValueError: there is no such data set, or it is not in one of these forms.

    Example:

    >>> from keras_convnext.data import load_data
    >>> len(load_data("digits").train)
    1438
    """
    if str(source) == "digits":
        return load_digits()
    if str(source).startswith(TFDS):
        return load_tfds(str(source).removeprefix(TFDS))
    path = Path(source)
    if str(source) and path.is_dir():  # an empty name, such as of an unset shell variable, is not this folder
        if is_shard_folder(path):
            return load_shards(path)
        load = load_imagenet if is_imagenet(path) else load_folder
        return load(path, skip_unreadable, verbose)
    if path.suffix == ".npz" and path.is_file():
        return load_npz(path)
    expected = "`digits`, an .npz file, a folder of images or tfds:NAME"
    if str(source) and not path.exists():
        raise ValueError(f"No such file or folder: {source}. Expected {expected}.")
    raise ValueError(f"{source or repr(source)}: expected {expected}, and found none.")


def is_name(source):
    """Whether a source is the name of a data set rather than a path."""
    return source in NAMES or source.startswith(TFDS)


def absolute_source(source: str) -> str:
    """The source with its path made absolute, so that it is valid wherever it is used again.

    Example:

    >>> from keras_convnext.data.load import absolute_source
    >>> absolute_source("digits")
    'digits'
    """
    if is_name(source):
        return source
    kind, path = (STAMPS, source.removeprefix(STAMPS)) if source.startswith(STAMPS) else ("", source)
    return kind + str(Path(path).resolve())
