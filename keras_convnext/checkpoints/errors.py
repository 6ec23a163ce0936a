"""The errors for checkpoint files that cannot be read."""


class CheckpointFileError(ValueError):
    """A file that does not hold a model's weights, or holds more than weights."""


class DamagedFileError(CheckpointFileError):
    """A file that is truncated, damaged, or of an unknown kind; another copy of it may work."""


def first_line(error):
    """The first line of an error's message; the name of its type if it has no message."""
    return (str(error) or type(error).__name__).splitlines()[0]
