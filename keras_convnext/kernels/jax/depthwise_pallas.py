"""A depthwise convolution and its gradients on a GPU, in Pallas: stride 1, dilation 1, an odd kernel, channels last.

Importing this file imports Pallas. Sums are float32; maps are float32, bfloat16 or float16. Pallas compiles the
functions with Triton on Nvidia's GPUs. On other devices they run in its interpreter, which gives the same results
slowly.

A tile is a few rows of a block of columns and a block of channels. The columns of all images are concatenated, so that
no map is too narrow for a tile. For each column of the kernel, a tile reads each row of the input once, converts it
once, and uses it for all rows of the output that it contributes to: 13 reads for the 49 products of 7 rows under a
kernel of 7x7. The rows read for one column of the kernel are in the L1 cache for the next column.

The gradient of the input is the convolution of the output's gradient with the kernel turned by 180 degrees. For the
gradient of the kernel, each program sums over its part of the columns, and XLA adds up the parts. The order is always
the same, so the result is deterministic.
"""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plt

from keras_convnext.kernels.jax.derivative import with_gradient

MOST_ROWS, MOST_PRODUCTS = 14, 160
"""The most rows of a tile, whose sums stay in registers; and the most products of rows of the tile and rows of the
kernel, beyond which a large kernel takes long to compile. Triton 3.7 compiles the shapes of convnext_tiny for an H100
with up to 154 registers per thread for bfloat16 and 172 for float32, and spills none. Pallas cannot limit them."""

MOST_TAPS = 7
"""The most rows of the kernel whose gradient a program sums at a time, for the same reason."""

WARPS, ELEMENTS = 4, 4
"""Warps of a program; and elements of a thread in each row of its tile, 8 bytes of bfloat16 or 16 of float32."""

MOST_TILES, PROGRAMS = 4, 512
"""The most tiles whose kernel gradient one program sums, and the number of programs that this must leave."""

DTYPES = ("float32", "bfloat16", "float16")


def serves(x, kernel):
    """Whether `x`, of shape `(batch, height, width, channels)`, and `kernel` can be convolved here at dilation 1."""
    return (
        x.dtype.name in DTYPES
        and kernel.dtype == x.dtype
        and all(isinstance(size, int) for size in x.shape)
        and 0 < math.prod(x.shape) < 2**31  # offsets are 32-bit integers
    )


def convolve(x, kernel):
    """Convolves at stride 1 with "same" padding.

    Args:
        x: `(batch, height, width, channels)`, of one of `DTYPES`.
        kernel: `(side, side, channels)`, `side` odd, of the same type.
    """
    return with_gradient(_convolve, gradients)(x, kernel)


def gradients(x, kernel, grad_y):
    """The gradients of x and of the kernel. The arguments are those of `convolve`, and the gradient of the output."""
    return convolve(grad_y, _turned(kernel)), kernel_gradient(x, grad_y, kernel.shape[0])


def kernel_gradient(x, grad_y, side):
    """Computes the gradient of a kernel of this side, `(side, side, channels)`, in the type of `x`.

    Args:
        x: `(batch, height, width, channels)`, of one of `DTYPES`.
        grad_y: the gradient of the output, of the same shape and type.
        side: odd int.
    """

    def gradients_of_gradient(x, grad_y, gradient):
        return convolve(grad_y, _turned(gradient)), convolve(x, gradient)

    return with_gradient(lambda x, grad_y: _kernel_gradient(x, grad_y, side), gradients_of_gradient)(x, grad_y)


def _turned(kernel):
    """The kernel turned by 180 degrees."""
    return kernel[::-1, ::-1]


# Both functions are linear in each of their arguments. Their derivatives are sums of the functions themselves.


@jax.custom_jvp
def _convolve(x, kernel):
    return _run(_launch_convolve, x, kernel)


@_convolve.defjvp
def _(arguments, tangents):
    (x, kernel), (tangent_x, tangent_kernel) = arguments, tangents
    return _convolve(x, kernel), convolve(tangent_x, kernel) + convolve(x, tangent_kernel)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _kernel_gradient(x, grad_y, side):
    return _run(functools.partial(_launch_kernel_gradient, side=side), x, grad_y)


@_kernel_gradient.defjvp
def _(side, arguments, tangents):
    (x, grad_y), (tangent_x, tangent_grad_y) = arguments, tangents
    tangent = kernel_gradient(tangent_x, grad_y, side) + kernel_gradient(x, tangent_grad_y, side)
    return _kernel_gradient(x, grad_y, side), tangent


def _run(launch, *arrays):
    """Runs the compiled function on Nvidia's GPUs and the interpreted one elsewhere. The program's device decides."""
    interpreted = functools.partial(launch, interpret=True)
    return jax.lax.platform_dependent(*arrays, cuda=functools.partial(launch, interpret=False), default=interpreted)


class _Tile(NamedTuple):
    """How a map is divided. All numbers are known when JAX traces a program."""

    height: int
    width: int
    columns: int  # of all images
    channels: int
    side: int
    rows: int
    strips: int  # tiles above each other in an image
    block_columns: int
    block_channels: int
    blocks: int  # of channels

    @property
    def column_blocks(self):
        return pl.cdiv(self.columns, self.block_columns)

    @property
    def tiles(self):
        return self.column_blocks * self.strips * self.blocks

    @property
    def last_top(self):
        """The first row of the last tile of an image."""
        return (self.strips - 1) * self.rows


def _tile(shape, side):
    batch, height, width, channels = shape
    strips = pl.cdiv(height, min(MOST_ROWS, max(1, MOST_PRODUCTS // side)))
    block = 64 if channels % 64 == 0 else min(32, pl.next_power_of_2(channels))
    return _Tile(
        height=height,
        width=width,
        columns=batch * width,
        channels=channels,
        side=side,
        rows=pl.cdiv(height, strips),
        strips=strips,
        block_columns=32 * WARPS * ELEMENTS // block,
        block_channels=block,
        blocks=pl.cdiv(channels, block),
    )


# The launches. Without `jit`, a call outside of a compiled program would be compiled each time.


@functools.partial(jax.jit, static_argnames="interpret")
def _launch_convolve(x, kernel, *, interpret):
    tile = _tile(x.shape, kernel.shape[0])
    arrays = [array.reshape(-1, tile.channels) for array in (x, kernel)]
    y = jax.ShapeDtypeStruct(arrays[0].shape, x.dtype)
    return _call(functools.partial(_convolve_tile, tile=tile), tile.tiles, arrays, y, interpret).reshape(x.shape)


@functools.partial(jax.jit, static_argnames=("side", "interpret"))
def _launch_kernel_gradient(x, grad_y, *, side, interpret):
    tile = _tile(x.shape, side)
    groups = pl.cdiv(side, MOST_TAPS)
    tiles = min(MOST_TILES, max(1, tile.tiles // PROGRAMS))
    parts = pl.cdiv(tile.column_blocks, tiles) * tile.strips
    function = functools.partial(_sum_over_tiles, tile=tile, groups=groups, taps=pl.cdiv(side, groups), tiles=tiles)
    arrays = [array.reshape(-1, tile.channels) for array in (x, grad_y)]
    sums = jax.ShapeDtypeStruct((parts * side * side, tile.channels), "float32")
    sums = _call(function, parts * tile.blocks, arrays, sums, interpret)
    return sums.reshape(parts, side, side, tile.channels).sum(0).astype(x.dtype)


def _call(function, programs, arrays, result, interpret):
    """Runs so many programs of a function of references to whole arrays, the last of which is the result."""
    whole = pl.BlockSpec(memory_space=pl.ANY)
    return pl.pallas_call(
        function,
        result,
        grid=(programs,),
        in_specs=[whole] * len(arrays),
        out_specs=whole,
        compiler_params=plt.CompilerParams(num_warps=WARPS, num_stages=1),
        interpret=interpret,
    )(*arrays)


# Within a program. All integers are int32, also where JAX's default is int64; none that is divided is negative.


def _divide(number, divisor):
    return jax.lax.div(number, np.int32(divisor))


def _remainder(number, divisor):
    return jax.lax.rem(number, np.int32(divisor))


def _loop(count, step, start):
    return jax.lax.fori_loop(0, count, lambda index, carry: step(index.astype("int32"), carry), start)


def _range(count):
    return jax.lax.iota("int32", count)


def _place(tile, program, tiles=1):
    """The first column of a program, its first row and its channels."""
    first = _divide(program, tile.blocks * tile.strips) * (tiles * tile.block_columns)
    top = _remainder(_divide(program, tile.blocks), tile.strips) * tile.rows
    return first, top, _remainder(program, tile.blocks) * tile.block_channels + _range(tile.block_channels)


def _columns(tile, first, top):
    """Of columns: the pixel in the program's first row, the place in the image, and whether there is such a column."""
    column = first + _range(tile.block_columns)
    image, across = _divide(column, tile.width), _remainder(column, tile.width)
    return (image * tile.height + top) * tile.width + across, across, column < tile.columns


def _over_channels(tile, columns):
    return jax.lax.broadcast_in_dim(columns, (tile.block_columns, tile.block_channels), (0,))


def _over_columns(tile, channels):
    return jax.lax.broadcast_in_dim(channels, (tile.block_columns, tile.block_channels), (1,))


def _zeros(tile, count):
    return (jnp.zeros((tile.block_columns, tile.block_channels), "float32"),) * count


def _read(array, row, channel, mask):
    """Reads elements of an array of rows of channels; zeros where the mask is False."""
    return plt.load(array.at[row, channel], mask=mask, other=0).astype("float32")


def _reaches(tile, row):
    """Whether a row, counted from the top of a tile, is in the map in any tile."""
    return -tile.last_top <= row < tile.height


def _in_map(tile, top, row, mask):
    """The mask of a row, counted from the top of a tile. What is true in every tile is not computed."""
    if row < 0:
        mask = mask & (top + row >= 0)
    if tile.last_top + row >= tile.height:
        mask = mask & (top + row < tile.height)
    return mask


def _convolve_tile(x, kernel, y, *, tile):
    padding = tile.side // 2
    first, top, channel = _place(tile, pl.program_id(0))
    pixel, across, exists = _columns(tile, first, top)
    # The weights are read in the layout of x, so that they need not pass through shared memory.
    channel = _over_columns(tile, channel)
    within = channel < tile.channels

    def add_column(kernel_column, sums):
        shift = kernel_column - padding
        seen = _over_channels(tile, exists & (across + shift >= 0) & (across + shift < tile.width)) & within
        taps = (kernel_row * tile.side + kernel_column for kernel_row in range(tile.side))
        weights = [_read(kernel, tap, channel, within) for tap in taps]
        sums = list(sums)
        for row in range(-padding, tile.rows + padding):
            if _reaches(tile, row):
                shifted = _over_channels(tile, pixel + (row * tile.width + shift))
                values = _read(x, shifted, channel, _in_map(tile, top, row, seen))
                for out in range(max(0, row - padding), min(tile.rows, row + padding + 1)):
                    sums[out] += values * weights[row - out + padding]
        return tuple(sums)

    sums = _loop(tile.side, add_column, _zeros(tile, tile.rows))
    inside = _over_channels(tile, exists) & within
    for out in range(tile.rows):
        place = _over_channels(tile, pixel + out * tile.width)
        plt.store(y.at[place, channel], sums[out].astype(y.dtype), mask=_in_map(tile, top, out, inside))


def _sum_over_tiles(x, grad_y, sums, *, tile, groups, taps, tiles):
    """Writes the sums over a program's tiles, by rows and columns of the kernel."""
    padding = tile.side // 2
    program = pl.program_id(0)
    first, top, own_channel = _place(tile, program, tiles)
    part = _divide(program, tile.blocks)
    channel = _over_columns(tile, own_channel)
    within = channel < tile.channels

    def write_taps(step, nothing):
        kernel_row, kernel_column = _divide(step, tile.side) * taps, _remainder(step, tile.side)
        down, shift = kernel_row - padding, kernel_column - padding

        def add_tile(number, totals):
            pixel, across, exists = _columns(tile, first + number * tile.block_columns, top)
            inside = _over_channels(tile, exists) & within
            seen = _over_channels(tile, exists & (across + shift >= 0) & (across + shift < tile.width)) & within
            grads = []
            for out in range(tile.rows):
                place = _over_channels(tile, pixel + out * tile.width)
                grads.append(_read(grad_y, place, channel, _in_map(tile, top, out, inside)))
            totals = list(totals)
            for row in range(tile.rows + taps - 1):
                if groups > 1 or _reaches(tile, row - padding):
                    shifted = _over_channels(tile, pixel + ((row + down) * tile.width + shift))
                    there = seen & (top + row + down >= 0) & (top + row + down < tile.height)
                    values = _read(x, shifted, channel, there)
                    for tap in range(max(0, row - tile.rows + 1), min(taps, row + 1)):
                        totals[tap] += values * grads[row - tap]
            return tuple(totals)

        totals = _loop(tiles, add_tile, _zeros(tile, taps))
        for tap in range(taps):
            place = (part * tile.side + kernel_row + tap) * tile.side + kernel_column
            is_tap = (own_channel < tile.channels) & (kernel_row + tap < tile.side)
            plt.store(sums.at[place, own_channel], totals[tap].sum(0), mask=is_tap)
        return nothing

    _loop(groups * tile.side, write_taps, np.int32(0))
