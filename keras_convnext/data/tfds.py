"""Data sets of TensorFlow Datasets, by name."""

import numpy as np

from keras_convnext.data.images import ImageData, Images
from keras_convnext.extras import require

PARTS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load_tfds(name: str, data_dir: str | None = None) -> ImageData:
    """Loads a data set of labelled images from TensorFlow Datasets. Downloads and prepares it if necessary.

    Images of equal size are loaded into memory. Otherwise each is decoded when it is used. A part without labels is
    left out.

    Args:
        name: name of the data set for `tfds.builder`, such as `"cifar10"` or `"imagenet2012:5.1.0"`.
        data_dir: folder of prepared data sets. Defaults to None: the default folder of TensorFlow Datasets.

    Returns:
        `ImageData`.

    Raises:
        ValueError: no such data set, one without labelled images or without a training part, or images of another
            type than uint8.
        ModuleNotFoundError: tensorflow-datasets or array_record is not installed; or the data set is not prepared yet,
            and TensorFlow is not installed.

    Example:

    >>> from keras_convnext.data import load_tfds
    >>> load_tfds("cifar10").train.pixels.shape  # doctest: +SKIP
    (50000, 32, 32, 3)
    """
    tfds = require("tensorflow_datasets", extra="tfds")
    require("array_record", extra="tfds")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"tfds:{name}: no such data set ({reason})") from error
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or not isinstance(features["label"], tfds.features.ClassLabel):
        raise ValueError(
            f"tfds:{name}: expected an `image` and a `label` that is a class, got {sorted(features or ())}."
        )
    dtype = features["image"].np_dtype
    if dtype != np.uint8:
        raise ValueError(f"tfds:{name}: expected images of uint8 in 0..255, got {getattr(dtype, '__name__', dtype)}.")
    if not builder.is_prepared():
        require("tensorflow", extra="tfds")
    try:
        builder.download_and_prepare(file_format="array_record")
        builder.as_data_source(next(iter(builder.info.splits)))
    except (AssertionError, NotImplementedError, OSError, ValueError) as error:
        raise ValueError(
            f"tfds:{name}: cannot be prepared as array_record, or is already prepared in another format: "
            f"{' '.join(str(error).split())[:300]} Try another data_dir (TFDS_DATA_DIR), or prepare it by hand."
        ) from error
    found = {part: split for part, names in PARTS.items() for split in names if split in builder.info.splits}
    if "train" not in found:
        raise ValueError(f"tfds:{name}: no training part, only {', '.join(builder.info.splits)}.")
    parts = {part: _images(tfds, builder, split) for part, split in found.items()}
    for part, images in parts.items():
        if images.labels.min() < 0 and (part == "train" or images.labels.max() >= 0):
            raise ValueError(f"tfds:{name}: images without labels in {part}.")
    return ImageData(**{part: images for part, images in parts.items() if images.labels.min() >= 0})


def _images(tfds, builder, split):
    undecoded = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    labels = np.array([example["label"] for example in undecoded], "int64")
    pixels = TfdsPixels(builder.as_data_source(split))
    if None not in builder.info.features["image"].shape:
        pixels = np.stack([pixels.source[index]["image"] for index in range(len(labels))])
    return Images(pixels, labels, tuple(builder.info.features["label"].names))


class TfdsPixels:
    """The images of a TFDS data source as RGB. Each is decoded when it is accessed.

    Args:
        source: what `builder.as_data_source` returns.
        indices: int array, which of its examples. Defaults to None: all.
    """

    def __init__(self, source, indices=None):
        self.source = source
        self.indices = np.arange(len(source)) if indices is None else np.asarray(indices)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        image = self.source[int(self.indices[index])]["image"]
        if image.shape[-1] not in (1, 3):
            raise ValueError(f"Expected images of three channels or one. Received: {image.shape[-1]}")
        return image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)

    def take(self, indices):
        """The images at `indices`, as `TfdsPixels`."""
        return TfdsPixels(self.source, self.indices[np.asarray(indices)])
