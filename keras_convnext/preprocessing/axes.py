"""A check that the channels of images are last, as everywhere except in a model's own `data_format`."""

MOST_CHANNELS = 4
"""The most channels of usual images: grey, grey with alpha, RGB, RGBA."""


def check_channels_last(shape: tuple[int | None, ...], where: str = "image") -> None:
    """Refuses a shape whose channels seem to be first, such as `(..., 3, 32, 32)` in place of `(..., 32, 32, 3)`.

    Channels seem to be first if the first of the last three axes has at most four entries and the other two have more;
    or if the last two axes are equal and longer than the first, as in satellite images with many channels.

    Args:
        shape: shape of an image or of a batch of images; unknown sides may be None.
        where: name of the array in the error. Defaults to `"image"`.

    Raises:
        ValueError: the channels seem to be first. The message has the line that moves them.

    Example:

    >>> from keras_convnext.preprocessing.axes import check_channels_last
    >>> check_channels_last((100, 32, 32, 3))
    """
    first, middle, last = shape[-3:]
    if not (isinstance(first, int) and isinstance(middle, int) and isinstance(last, int)):
        return
    is_picture = first <= MOST_CHANNELS < min(middle, last)
    if is_picture or middle == last > max(first, MOST_CHANNELS):
        count = "count, " if len(shape) == 4 else ""
        raise ValueError(
            f"{where}: expected shape ({count}height, width, channels). Received: {tuple(shape)}, which looks like "
            f"({count}channels, height, width). Move the channels: numpy.moveaxis(array, -3, -1)."
        )
