"""The parts of a batch that a CPU recomputes one after the other, so that most of a part stays in the cache."""

from numbers import Real

PART_BYTES = 2.5 * 2**20
"""Size of the part of a block's input. The arrays that the block computes from it are a dozen times as large."""


def batch_parts(images, nbytes):
    """The number of parts into which to split a batch. All have equally many images, and about `PART_BYTES`.

    A batch is not split if parts of equally many images would be smaller than half of `PART_BYTES`, as they are for
    most prime numbers of images. Nor is a batch of symbolic size, in a program that is exported.

    Args:
        images: int or symbolic, the number of images in the batch.
        nbytes: number or symbolic, the size of the batch.
    """
    if not isinstance(images, int) or not isinstance(nbytes, Real):
        return 1
    wanted = max(1, min(images, round(nbytes / PART_BYTES)))
    return next((count for count in range(wanted, min(images, 2 * wanted) + 1) if images % count == 0), 1)
