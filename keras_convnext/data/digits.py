"""The bundled data: 1,797 handwritten digits of 8x8 pixels.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
doi:10.24432/C50P49, licence CC BY 4.0: the test part of that set, with its grey levels 0..16 scaled to 0..255. A
stratified sample of a fifth, 359 images, is the test part here.
"""

from importlib.resources import as_file, files

from keras_convnext.data.images import ImageData
from keras_convnext.data.npz import load_npz


def load_digits() -> ImageData:
    """The digits as `ImageData`: 1,438 training and 359 test images of shape `(8, 8, 1)`, in ten classes.

    Example:

    >>> from keras_convnext.data import load_digits
    >>> data = load_digits()
    >>> data.train.pixels.shape, data.test.pixels.shape
    ((1438, 8, 8, 1), (359, 8, 8, 1))
    """
    with as_file(files("keras_convnext.data") / "digits.npz") as path:
        return load_npz(path)
