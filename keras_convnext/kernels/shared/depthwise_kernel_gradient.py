"""The kernel gradient of a depthwise convolution, in a form that XLA fuses on CPU, for JAX and TensorFlow.

It is a sum of shifted products, over the pixels of a block of the map:

    gradient[i, j, c] = sum over blocks, and over pixels (u, v) of a block, of x[u + i, v + j, c] * y_gradient[u, v, c]

It is computed image by image, so that the blocks stay in the cache. Sums are float32 at least.
"""

from keras import ops

BLOCK = 7
"""Side in pixels of a block of the map. The maps of 224-pixel images have multiples of it as sides."""


def kernel_gradient(x, gradient, side, dilation):
    """Computes the kernel gradient of a convolution at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`. All sizes except the batch must be known; in a JAX program that is
            exported they may be symbolic.
        gradient: gradient of the output, in the same shape.
        side: int, side of the kernel, an odd number.
        dilation: int, the distance between the taps.

    Returns:
        `(side, side, channels)`.
    """
    _, height, width, channels = x.shape
    block_height, block_width = (min(BLOCK, size) if isinstance(size, int) else BLOCK for size in (height, width))
    margin, reach = side // 2 * dilation, (side - 1) * dilation
    sum_type = "float64" if ops.dtype(x) == "float64" else "float32"

    def add_image(number, total):
        padded = ops.pad(x[number], ((margin, margin), (margin, margin), (0, 0)))
        patches = ops.cast(_blocks(padded, block_height, block_width, reach), sum_type)
        blocks = ops.cast(_blocks(gradient[number], block_height, block_width, 0), sum_type)
        return total + sum(
            patches[:, u : u + reach + 1 : dilation, :, v : v + reach + 1 : dilation]
            * blocks[:, u : u + 1, :, v : v + 1]
            for u in range(block_height)
            for v in range(block_width)
        )

    down, across = -(-height // block_height), -(-width // block_width)
    start = ops.zeros((down, side, across, side, channels), sum_type)
    return ops.sum(ops.fori_loop(0, ops.shape(x)[0], add_image, start), (0, 2))


def _blocks(x, height, width, reach):
    """Cuts a map into blocks of `height` by `width`, and adds `reach` rows and columns of the next blocks to each.

    Args:
        x: `(height, width, channels)`.

    Returns:
        `(blocks down, height + reach, blocks across, width + reach, channels)`, with zeros beyond the map.
    """
    return _in_blocks(_in_blocks(x, 0, height, reach), 2, width, reach)


def _in_blocks(x, axis, block, reach):
    """Splits an axis into two, `(blocks, block + reach)`. Each block has `reach` elements of those that follow it."""
    count, following = -(-(x.shape[axis] - reach) // block), -(-reach // block)
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (0, (count + following) * block - x.shape[axis])
    x = ops.reshape(ops.pad(x, padding), (*x.shape[:axis], count + following, block, *x.shape[axis + 1 :]))
    parts = [_part(x, axis, start, start + count) for start in range(following + 1)]
    return _part(ops.concatenate(parts, axis + 1), axis + 1, 0, block + reach)


def _part(x, axis, start, stop):
    return x[(slice(None),) * axis + (slice(start, stop),)]
