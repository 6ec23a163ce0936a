"""The variant of a checkpoint, identified from the names and sizes of its arrays."""

import itertools
import math

import numpy as np

from keras_convnext.checkpoints.layouts import LAYOUTS
from keras_convnext.variants import match

SCALES = 4
"""The number of scales in the pyramid pooling of all published UPerNets."""


def identify(arrays: dict[str, np.ndarray]) -> tuple[str, int | None]:
    """Identifies the variant and the number of classes of a checkpoint.

    Args:
        arrays: arrays by name, as `read_arrays` returns them.

    Returns:
        `(variant, num_classes)`. `num_classes` is 0 if the last layer is missing, and None if the whole head is.

    Raises:
        ValueError: the arrays do not match any variant of `VARIANTS`.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier, save_checkpoint
    >>> from keras_convnext.checkpoints import identify, read_arrays
    >>> path = Path(tempfile.mkdtemp()) / "model.h5"
    >>> save_checkpoint(ConvNeXtClassifier.from_preset("convnext_mini", 10), path, layout="keras.applications")
    >>> identify(read_arrays(path))
    ('convnext_mini', 10)
    """
    for layout in LAYOUTS:
        arguments = _architecture(layout, arrays)
        variant = match(arguments) if arguments else None
        if variant:
            has_norm = _size("head_norm/gamma", layout, arrays)
            return variant, _size("head/bias", layout, arrays) or (0 if has_norm else None)
    raise ValueError(
        f"not a variant that `keras-convnext list` prints. It has {len(arrays)} arrays, such as {list(arrays)[:3]}."
    )


def has_level_norms(arrays: dict[str, np.ndarray]) -> bool:
    """Whether a checkpoint has norms of some or all pyramid levels.

    Args:
        arrays: arrays by name, as `read_arrays` returns them.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.checkpoints import has_level_norms
    >>> has_level_norms({"hidden_states_norms.stage1.weight": np.ones(96)})
    True
    """
    paths = [f"stage_{stage}_norm/gamma" for stage in range(4)]
    return any(_size(path, layout, arrays) for layout in LAYOUTS for path in paths)


def segmenter_arguments(arrays: dict[str, np.ndarray]) -> dict | None:
    """The arguments of the `segmentation.UPerNet` whose weights a checkpoint has, apart from the backbone.

    Args:
        arrays: arrays by name, as `read_arrays` returns them.

    Returns:
        A dict of arguments, or None if it is not a checkpoint of a UPerNet.

    Raises:
        ValueError: the pyramid pooling has another number of scales than four: the arrays do not tell which.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.checkpoints import segmenter_arguments
    >>> segmenter_arguments({"downsample_layers.0.0.weight": np.ones((40, 3, 4, 4))}) is None
    True
    """
    for layout in LAYOUTS:
        classes = _size("pixel_head/bias", layout, arrays)
        hidden_size = _size("level_fusion/bottleneck/norm/gamma", layout, arrays)
        if classes and hidden_size:
            scales = itertools.count()
            sizes = (_size(f"pyramid_pooling/scale_{scale}/norm/gamma", layout, arrays) for scale in scales)
            found = sum(1 for _ in itertools.takewhile(lambda size: size is not None, sizes))
            if found != SCALES:
                raise ValueError(
                    f"a UPerNet with {found} scales of pooling; expected {SCALES}, which are (1, 2, 3, 6). Make the "
                    "model with `segmentation.UPerNet(pool_scales=...)`, and use load_checkpoint."
                )
            return {
                "num_classes": classes,
                "hidden_size": hidden_size,
                "auxiliary_hidden_size": _size("auxiliary_conv/norm/gamma", layout, arrays) or 0,
            }
    return None


def patchify_stem_of(arrays: dict[str, np.ndarray]) -> tuple[int, int] | None:
    """Identifies the stride of a checkpoint's stem, and the number of channels of its images.

    Args:
        arrays: arrays by name, as `read_arrays` returns them.

    Returns:
        `(stem_patch_size, channels)`, or None if there is no patchify stem with a stride of a power of two.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.checkpoints import patchify_stem_of
    >>> patchify_stem_of({"downsample_layers.0.0.weight": np.ones((40, 3, 2, 2))})
    (2, 3)
    """
    for layout in LAYOUTS:
        entry = layout.entry("stem/conv/kernel")
        stored = arrays[entry.name].shape if entry and entry.name in arrays else ()
        if len(stored) == 4:
            axes = entry.array.axes or range(4)
            height, width, channels, _ = (stored[list(axes).index(axis)] for axis in range(4))
            if height == width and height.bit_count() == 1:
                return height, channels
    return None


def _architecture(layout, arrays):
    """The architecture arguments that the arrays show; None if their names are not those of the layout."""
    depths, dims, kernel_sizes = [], [], []
    while depth := _depth(len(depths), layout, arrays):
        last = f"stage_{len(depths)}_block_{depth - 1}"
        dim = _size(f"{last}/norm/gamma", layout, arrays)
        if dim is None:
            return None
        depths.append(depth)
        dims.append(dim)
        kernel_sizes.append(math.sqrt(_size(f"{last}/depthwise_conv/kernel", layout, arrays) / dim))
    stems = {"stem/conv/kernel": {"patchify"}, "stem/conv_2/kernel": {"overlap", "overlap_tiered", "overlap_act"}}
    stem = next((kinds for path, kinds in stems.items() if _size(path, layout, arrays) is not None), None)
    stem_norm = _size("stem/norm/gamma", layout, arrays)
    if not depths or stem is None or stem_norm not in (None, dims[0]):
        return None
    if _size("head/bias", layout, arrays) and _size("head_norm/gamma", layout, arrays) != dims[-1]:
        return None
    block = "stage_0_block_0"
    grn, scale = (_size(f"{block}/{layer}/gamma", layout, arrays) for layer in ("grn", "layer_scale"))
    has_beta = _size(f"{block}/norm/beta", layout, arrays) is not None
    arguments = {
        "depths": tuple(depths),
        "dims": tuple(dims),
        "kernel_size": tuple(kernel_sizes),
        "stem": stem,
        "stem_norm": stem_norm is not None,
        "conv_bias": _size(f"{block}/depthwise_conv/bias", layout, arrays) is not None,
        "norm": {"layer_norm"} if has_beta else {"rms_norm", "simple_norm"},
        "use_grn": grn is not None,
        "layer_scale_init_value": scale,
        "head_hidden_size": _size("head_hidden/bias", layout, arrays),
    }
    if grn is not None:
        arguments["mlp_ratio"] = grn / dims[0]
    if layout.head_norm_first is not None:
        arguments["head_norm_first"] = layout.head_norm_first
    return arguments


def _depth(stage, layout, arrays):
    """The number of blocks in a stage."""
    blocks = itertools.count()
    has_block = (_size(f"stage_{stage}_block_{block}/depthwise_conv/kernel", layout, arrays) for block in blocks)
    return sum(1 for _ in itertools.takewhile(lambda size: size is not None, has_block))


def _size(path, layout, arrays):
    """The size of the array for one of our weights; None if there is no such array."""
    entry = layout.entry(path)
    return arrays[entry.name].size if entry and entry.name in arrays else None
