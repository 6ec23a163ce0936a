"""The parts of a batch that a CPU recomputes one after the other: little is alive at a time, mostly in a cache."""

from numbers import Real

PART_BYTES = 2.5 * 2**20
"""Of a block's input. What the block makes of it is a dozen times as much."""


def batch_parts(images, nbytes):
    """How many parts of equally many images to make of a batch: about as many as have `PART_BYTES` each.

    A batch that has no such parts, fewer than twice as many as wanted, stays whole: most of a prime number of images.
    So does one of symbolic size, in a program that is exported.

    Args:
        images: int or symbolic, how many the batch has.
        nbytes: number or symbolic, its size.
    """
    if not isinstance(images, int) or not isinstance(nbytes, Real):
        return 1
    wanted = max(1, min(images, round(nbytes / PART_BYTES)))
    return next((count for count in range(wanted, min(images, 2 * wanted) + 1) if images % count == 0), 1)
