"""Where the channels of an array of images stand: last, in all that is not a model's own `data_format`."""

MOST_CHANNELS = 4
"""Of pictures: grey, with alpha, RGB, RGBA."""


def check_channels_last(shape, where="image"):
    """Refuses a shape whose channels look as if they came first: `(..., 3, 32, 32)` and not `(..., 32, 32, 3)`.

    They do where the first of the last three axes is as short as a picture's channels are and the last is not, and
    where the last two are equal and longer than the first: of images with many channels, such as a satellite's.

    Args:
        shape: sequence of int, of an image or of a batch of them; sides that are not known may be None.
        where: str, what the error calls the array.

    Raises:
        ValueError: such a shape. The message has the line that mends it.

    Example:

    >>> from keras_convnext.preprocessing.axes import check_channels_last
    >>> check_channels_last((100, 32, 32, 3))
    """
    first, middle, last = shape[-3:]
    if not all(isinstance(side, int) for side in (first, middle, last)):
        return
    is_picture = first <= MOST_CHANNELS < min(middle, last)
    if is_picture or middle == last > max(first, MOST_CHANNELS):
        count = "count, " if len(shape) == 4 else ""
        raise ValueError(
            f"{where}: expected shape ({count}height, width, channels). Received: {tuple(shape)}, which looks like "
            f"({count}channels, height, width). Move the channels: numpy.moveaxis(array, -3, -1)."
        )
