"""Parameters and multiply-accumulates of an architecture from its row of `VARIANTS`, without building a model.

The numbers equal those that `profile` counts on the model. Listing all presets takes them from here.
"""

from typing import NamedTuple

from keras_convnext.layers.stem import multiple_of_8
from keras_convnext.variants import ConvNeXtConfig

NORM_WEIGHTS = {"layer_norm": 2, "rms_norm": 1, "simple_norm": 1}
"""Weights of a norm per channel."""


class Count(NamedTuple):
    """What `count` counts.

    Attributes:
        params: number of trainable parameters.
        macs: multiply-accumulates (MACs) for one image.

    Example:

    >>> from keras_convnext.profiling import Count
    >>> Count(params=28_589_128, macs=4_455_531_264).megabytes
    114.356512
    """

    params: int
    macs: int

    @property
    def megabytes(self) -> float:
        """The size of the weights in float32, in MB of 10^6 bytes: about that of a checkpoint's file."""
        return 4 * self.params / 1e6


def count(config: ConvNeXtConfig, num_classes: int = 1000, image_size: int | None = None) -> Count:
    """Counts the parameters and multiply-accumulates of a classifier of RGB images.

    Args:
        config: a row of `VARIANTS`.
        num_classes: number of classes. 0 omits the last layer, as in `ConvNeXtClassifier`. Defaults to 1000.
        image_size: side of the images in pixels, at least the network's stride. Defaults to the row's
            `image_size`.

    Example:

    >>> from keras_convnext import VARIANTS
    >>> from keras_convnext.profiling import count
    >>> count(VARIANTS["convnext_tiny"])
    Count(params=28589128, macs=4455531264)
    """
    parts = list(_parts(config, num_classes, image_size or config.image_size))
    params = sum(kernel + others for _, kernel, others in parts)
    return Count(params, sum(positions * kernel for positions, kernel, _ in parts))


def _parts(config, num_classes, side):
    """For each part: the number of positions of its kernels, their weights, and its other parameters."""
    dims, bias, norm = config.dims, int(config.conv_bias), NORM_WEIGHTS[config.norm]
    if config.stem == "patchify":
        side //= config.stem_patch_size
        yield side**2, config.stem_patch_size**2 * 3 * dims[0], bias * dims[0]
    else:
        first = multiple_of_8(dims[0] // 2) if config.stem == "overlap_tiered" else dims[0]
        for channels, filters in ((3, first), (first, dims[0])):
            side = -(-side // 2)
            yield side**2, 3**2 * channels * filters, bias * filters
    yield 0, 0, norm * dims[0] * config.stem_norm
    for stage, (depth, dim) in enumerate(zip(config.depths, dims, strict=True)):
        if stage > 0:
            side //= 2
            yield side**2, 2**2 * dims[stage - 1] * dim, norm * dims[stage - 1] + bias * dim
        hidden = int(config.mlp_ratio * dim)
        kernels = config.kernel_sizes[stage] ** 2 * dim + 2 * dim * hidden
        others = bias * dim + norm * dim + hidden + dim
        others += 2 * hidden * config.use_grn + dim * (config.layer_scale_init_value is not None)
        yield side**2, kernels * depth, others * depth
    yield 0, 0, norm * dims[-1]
    width = dims[-1]
    if config.head_hidden_size:
        yield 1, width * config.head_hidden_size, config.head_hidden_size
        width = config.head_hidden_size
    yield 1, width * num_classes, num_classes
