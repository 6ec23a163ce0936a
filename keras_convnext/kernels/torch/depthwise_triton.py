"""A depthwise convolution and its gradients on a GPU, in Triton: stride 1, dilation 1, an odd kernel, channels last.

Importing this file needs Triton. Sums are float32; maps are float32, bfloat16 or float16.

A tile is `ROWS` rows of a block of columns and a block of channels. The columns of all images are concatenated, so that
no map is too narrow for a tile. A thread has four channels of a column. For each column of the kernel, it reads each
row of the input once, converts it once, and uses it for all rows of the output that it contributes to: 13 reads for the
49 products of 7 rows under a kernel of 7x7. The rows read for one column of the kernel are in the L1 cache for the
next column.

The gradient of the input is the convolution of the output's gradient with the kernel turned by 180 degrees. For the
gradients of the kernel and the bias, each program sums over its part of the columns, and a second pass adds up the
parts. The order is always the same, so the result is deterministic.
"""

from subprocess import CalledProcessError

import torch
import triton
import triton.language as tl
from triton.errors import TritonError

MOST_ROWS, MOST_PRODUCTS = 14, 160
"""The most rows of a tile, whose sums stay in registers; and the most products of rows of the tile and rows of the
kernel, beyond which a large kernel takes long to compile."""

MOST_TAPS = 7
"""The most rows of the kernel whose gradient a program sums at a time, for the same reason."""

WARPS, ELEMENTS = 4, 4
"""Warps of a program; and elements of a thread in each row of its tile, 8 bytes of bfloat16 or 16 of float32."""

REGISTERS = 168
"""The most registers per thread with which three programs fit on a multiprocessor of Nvidia's A100, H100 and H200."""

MOST_TILES, PROGRAMS = 4, 512
"""The most tiles whose kernel gradient one program sums, and the number of programs that this must leave."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def serves(x, kernel):
    """Whether `x`, of shape `(batch, height, width, channels)`, and `kernel` can be convolved here at dilation 1."""
    return (
        x.dtype in DTYPES
        and kernel.dtype == x.dtype
        and x.numel() > 0
        and x[0].numel() < 2**31  # offsets within an image are 32-bit integers, as is the number of columns
        and x.shape[0] * x.shape[2] < 2**30
    )


def convolve(x, kernel, bias=None, *, flipped=False):
    """Convolves `x` with the kernel, or with the kernel turned by 180 degrees if `flipped`.

    Args:
        x: `(batch, height, width, channels)`, of one of `DTYPES`.
        kernel: `(side, side, channels, 1)`, `side` odd, of the same type.
        bias: `(channels,)`, of the same type, or None.
        flipped: whether the kernel is turned. Defaults to False.
    """
    x, kernel = x.contiguous(), kernel.contiguous()
    y = torch.empty_like(x)
    tile = _tile(x, kernel.shape[0])
    _launch(
        _convolve,
        _tiles(x, tile),
        (x, kernel, kernel if bias is None else bias.contiguous(), y, *_sizes(x, tile)),
        SIDE=kernel.shape[0],
        FLIPPED=flipped,
        HAS_BIAS=bias is not None,
        **tile,
        maxnreg=REGISTERS,
    )
    return y


def weight_gradients(grad_y, x, kernel):
    """Computes the gradients of the kernel and of the bias, in their shapes and in the type of `x`.

    Args:
        grad_y, x: `(batch, height, width, channels)`, of one of `DTYPES`.
        kernel: `(side, side, channels, 1)`; only its shape is used.
    """
    x, grad_y = x.contiguous(), grad_y.contiguous()
    side, channels = kernel.shape[0], x.shape[-1]
    tile = _tile(x, side)
    groups = triton.cdiv(side, MOST_TAPS)
    tiles = min(MOST_TILES, max(1, _tiles(x, tile) // PROGRAMS))
    columns = x.shape[0] * x.shape[2]
    parts = triton.cdiv(columns, tile["BLOCK_COLUMNS"] * tiles)
    strips, blocks = triton.cdiv(x.shape[1], tile["ROWS"]), triton.cdiv(channels, tile["BLOCK_CHANNELS"])
    sums = x.new_empty((parts * strips, side * side + 1, channels), dtype=torch.float32)
    _launch(
        _sum_weight_gradients,
        parts * strips * blocks,
        (x, grad_y, sums, *_sizes(x, tile)),
        SIDE=side,
        TAPS=triton.cdiv(side, groups),
        GROUPS=groups,
        TILES=tiles,
        **tile,
        maxnreg=REGISTERS if x.dtype.itemsize == 2 else None,  # for float32 they do not suffice
    )
    sums = sums.sum(0).to(x.dtype)
    return sums[:-1].view(kernel.shape), sums[-1]


def _launch(function, programs, arguments, **constants):
    try:
        with torch.cuda.device_of(arguments[0]):
            function[(programs,)](*arguments, **constants, num_warps=WARPS)
    except (TritonError, OSError, CalledProcessError) as error:
        raise RuntimeError(
            f"Triton {triton.__version__} cannot compile the convolution for {arguments[0].device}"
        ) from error


def _tile(x, side):
    """The constants of a tile of x under a kernel of this side."""
    height, channels = x.shape[1], x.shape[-1]
    strips = triton.cdiv(height, min(MOST_ROWS, max(1, MOST_PRODUCTS // side)))
    block = 64 if channels % 64 == 0 else min(32, triton.next_power_of_2(channels))
    return {
        "ROWS": triton.cdiv(height, strips),
        "ONE_STRIP": strips == 1,
        "BLOCK_COLUMNS": 32 * WARPS * ELEMENTS // block,
        "BLOCK_CHANNELS": block,
        "VECTOR": ELEMENTS if channels % ELEMENTS == 0 else 1,
    }


def _sizes(x, tile):
    """The sizes that the kernels take: columns, height, width and vectors of channels."""
    batch, height, width, channels = x.shape
    return batch * width, height, width, channels // tile["VECTOR"]


def _tiles(x, tile):
    """The number of tiles of x."""
    batch, height, width, channels = x.shape
    columns, blocks = triton.cdiv(batch * width, tile["BLOCK_COLUMNS"]), triton.cdiv(channels, tile["BLOCK_CHANNELS"])
    return columns * triton.cdiv(height, tile["ROWS"]) * blocks


@triton.jit(do_not_specialize=["columns", "height", "width", "vectors"])
def _convolve(  # type: ignore[no-untyped-def]  # Triton reads the annotations
    x_pointer,
    kernel_pointer,
    bias_pointer,
    y_pointer,
    columns,
    height,
    width,
    vectors,
    SIDE: tl.constexpr,
    FLIPPED: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    ONE_STRIP: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    VECTOR: tl.constexpr,
):
    PADDING: tl.constexpr = SIDE // 2
    channels = vectors * VECTOR
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    strips = tl.cdiv(height, ROWS)
    program = tl.program_id(0)
    top = program // blocks % strips * ROWS
    channel = program % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)[None, :]
    column = program // (blocks * strips) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)[:, None]
    image, across = column // width, column % width
    inside = (column < columns) & (channel < channels)
    stride = width * channels
    offsets = (image.to(tl.int64) * height + top) * stride + across * channels + channel
    every = channel + tl.zeros_like(column)  # weights in the layout of x: they need not pass through shared memory

    sums = (tl.zeros((BLOCK_COLUMNS, BLOCK_CHANNELS), tl.float32),) * ROWS
    for kernel_column in range(SIDE):
        shift = kernel_column - PADDING
        seen = inside & (across + shift >= 0) & (across + shift < width)
        weights = ()
        for kernel_row in tl.static_range(SIDE):
            tap = kernel_row * SIDE + kernel_column
            tap = SIDE * SIDE - 1 - tap if FLIPPED else tap
            weights += (tl.load(kernel_pointer + tap * channels + every, inside, 0.0).to(tl.float32),)
        for row in tl.static_range(-PADDING, ROWS + PADDING):
            if not ONE_STRIP or (row >= 0 and row < ROWS):
                there = seen & (top + row >= 0) & (top + row < height)
                x = tl.load(x_pointer + offsets + (row * stride + shift * channels), there, 0.0).to(tl.float32)
                added = ()
                for out in tl.static_range(ROWS):
                    if row - out >= -PADDING and row - out <= PADDING:
                        added += (sums[out] + x * weights[row - out + PADDING],)
                    else:
                        added += (sums[out],)
                sums = added

    if HAS_BIAS:
        bias = tl.load(bias_pointer + every, inside, 0.0).to(tl.float32)
    for out in tl.static_range(ROWS):
        y = sums[out] + bias if HAS_BIAS else sums[out]
        tl.store(y_pointer + offsets + out * stride, y.to(y_pointer.dtype.element_ty), inside & (top + out < height))


@triton.jit(do_not_specialize=["columns", "height", "width", "vectors"])
def _sum_weight_gradients(  # type: ignore[no-untyped-def]  # Triton reads the annotations
    x_pointer,
    grad_y_pointer,
    sums_pointer,
    columns,
    height,
    width,
    vectors,
    SIDE: tl.constexpr,
    TAPS: tl.constexpr,
    GROUPS: tl.constexpr,
    TILES: tl.constexpr,
    ROWS: tl.constexpr,
    ONE_STRIP: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    VECTOR: tl.constexpr,
):
    """Writes the sums over a program's tiles: the kernel's gradient by rows and columns, then the bias's."""
    PADDING: tl.constexpr = SIDE // 2
    channels = vectors * VECTOR
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    strips = tl.cdiv(height, ROWS)
    program = tl.program_id(0)
    top = program // blocks % strips * ROWS
    first = program // (blocks * strips) * TILES * BLOCK_COLUMNS
    channel = program % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    stride = width * channels
    part = (program // blocks).to(tl.int64) * (SIDE * SIDE + 1)

    for step in range(GROUPS * SIDE):
        kernel_row, kernel_column = step // SIDE * TAPS, step % SIDE
        down, shift = kernel_row - PADDING, kernel_column - PADDING
        sums = (tl.zeros((BLOCK_COLUMNS, BLOCK_CHANNELS), tl.float32),) * TAPS
        for tile in range(TILES):
            column = first + tile * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)[:, None]
            image, across = column // width, column % width
            inside = (column < columns) & (channel < channels)[None, :]
            seen = inside & (across + shift >= 0) & (across + shift < width)
            offsets = (image.to(tl.int64) * height + top) * stride + across * channels + channel[None, :]
            grads = ()
            for out in tl.static_range(ROWS):
                there = inside & (top + out < height)
                grads += (tl.load(grad_y_pointer + offsets + out * stride, there, 0.0).to(tl.float32),)
            for row in tl.static_range(ROWS + TAPS - 1):
                if not ONE_STRIP or GROUPS > 1 or (row >= PADDING and row < ROWS + PADDING):
                    there = seen & (top + row + down >= 0) & (top + row + down < height)
                    shifted = offsets + ((row + down) * stride + shift * channels)
                    x = tl.load(x_pointer + shifted, there, 0.0).to(tl.float32)
                    added = ()
                    for tap in tl.static_range(TAPS):
                        if row - tap >= 0 and row - tap < ROWS:
                            added += (sums[tap] + x * grads[row - tap],)
                        else:
                            added += (sums[tap],)
                    sums = added
        for tap in tl.static_range(TAPS):
            place = (part + (kernel_row + tap) * SIDE + kernel_column) * channels + channel
            tl.store(sums_pointer + place, tl.sum(sums[tap], 0), (channel < channels) & (kernel_row + tap < SIDE))

    sum_of_grads = tl.zeros((BLOCK_COLUMNS, BLOCK_CHANNELS), tl.float32)
    for tile in range(TILES):
        column = first + tile * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)[:, None]
        image, across = column // width, column % width
        inside = (column < columns) & (channel < channels)[None, :]
        offsets = (image.to(tl.int64) * height + top) * stride + across * channels + channel[None, :]
        for out in tl.static_range(ROWS):
            there = inside & (top + out < height)
            sum_of_grads += tl.load(grad_y_pointer + offsets + out * stride, there, 0.0).to(tl.float32)
    place = (part + SIDE * SIDE) * channels + channel
    tl.store(sums_pointer + place, tl.sum(sum_of_grads, 0), channel < channels)
