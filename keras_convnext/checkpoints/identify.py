"""The variant of a checkpoint, from the number and the sizes of its stages."""

from keras_convnext.checkpoints.layouts import LAYOUTS
from keras_convnext.variants import VARIANTS


def identify(arrays: dict) -> tuple[str, int | None]:
    """The variant and the number of classes of a checkpoint.

    Args:
        arrays: dict of arrays by name, as `read_arrays` returns it.

    Returns:
        `(variant, num_classes)`: 0 classes if the last layer is missing, None if the whole head is.

    Raises:
        ValueError: the arrays belong to no variant of `VARIANTS`.

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
    for name, variant in VARIANTS.items():
        for layout in LAYOUTS:
            if layout.has_head_like(variant.head_norm_first) and _is_of(variant, layout, arrays):
                has_norm = _size("head_norm/gamma", layout, arrays)
                return name, _size("head/bias", layout, arrays) or (0 if has_norm else None)
    raise ValueError(
        f"of no variant that `keras-convnext list` prints; its {len(arrays)} arrays begin {list(arrays)[:3]}."
    )


def has_level_norms(arrays: dict) -> bool:
    """Whether a checkpoint has norms of pyramid levels, of all or of some.

    Args:
        arrays: dict of arrays by name, as `read_arrays` returns it.

    Example:

    >>> import numpy as np
    >>> from keras_convnext.checkpoints import has_level_norms
    >>> has_level_norms({"hidden_states_norms.stage1.weight": np.ones(96)})
    True
    """
    paths = [f"stage_{stage}_norm/gamma" for stage in range(4)]
    return any(_size(path, layout, arrays) for layout in LAYOUTS for path in paths)


def _is_of(variant, layout, arrays):
    sizes = {"stem/norm/gamma": variant.dims[0] if variant.stem_norm else None}
    stages = zip(variant.depths, variant.dims, variant.kernel_sizes, strict=True)
    for stage, (depth, dim, side) in enumerate(stages):
        sizes[f"stage_{stage}_block_{depth - 1}/depthwise_conv/kernel"] = dim * side**2
        sizes[f"stage_{stage}_block_{depth}/depthwise_conv/kernel"] = None
    sizes[f"stage_{len(variant.depths)}_block_0/depthwise_conv/kernel"] = None
    sizes["stage_0_block_0/depthwise_conv/bias"] = variant.dims[0] if variant.conv_bias else None
    sizes["stage_0_block_0/norm/beta"] = variant.dims[0] if variant.norm == "layer_norm" else None
    sizes["stage_0_block_0/grn/gamma"] = int(variant.mlp_ratio * variant.dims[0]) if variant.use_grn else None
    sizes["head_hidden/bias"] = variant.head_hidden_size
    if _size("head/bias", layout, arrays):
        sizes["head_norm/gamma"] = variant.dims[-1]
    stem = "stem/conv/kernel" if variant.stem == "patchify" else "stem/conv_2/kernel"
    if _size(stem, layout, arrays) is None:
        return False
    scaled = _size("stage_0_block_0/layer_scale/gamma", layout, arrays) is not None
    return scaled == (variant.layer_scale_init_value is not None) and all(
        _size(path, layout, arrays) == size for path, size in sizes.items()
    )


def _size(path, layout, arrays):
    """The size of the array for one of our weights; None if there is no such array."""
    entry = layout.entry(path)
    return arrays[entry.name].size if entry and entry.name in arrays else None
