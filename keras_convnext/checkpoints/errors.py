"""What is raised of a checkpoint file that cannot be read."""


class CheckpointFileError(ValueError):
    """A file that holds something else than a model's weights."""


class DamagedFileError(CheckpointFileError):
    """A file that is cut off, damaged, or of no known kind: another copy may serve."""


def first_line(error):
    """The first line of an error's message; its type where there is none."""
    return (str(error) or type(error).__name__).splitlines()[0]
