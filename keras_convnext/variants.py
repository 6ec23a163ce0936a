"""Every ConvNeXt architecture as one row of data.

`VARIANTS` is the canonical list of architecture arguments. V1: "A ConvNet for the 2020s" (arXiv:2201.03545, Tables 1, 2
and 9; facebookresearch/ConvNeXt). V2: "ConvNeXt V2" (arXiv:2301.00808, Appendix A.1; facebookresearch/ConvNeXt-V2).
The smaller, overlapping-stem, head-norm-first, MLP-head and `test_` rows, and those with other norms or activations,
come from huggingface/pytorch-image-models (timm).
One row, `convnext_mini`, is this package's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True)
class ConvNeXtConfig:
    """The architecture arguments of one variant.

    Attributes:
        depths: blocks in each stage.
        dims: channels of each stage.
        stem: `"patchify"` (one convolution of `stem_patch_size`, with that stride), `"overlap"` (two 3x3 convolutions
            of stride 2), `"overlap_tiered"` (the same, the first at half the channels) or `"overlap_act"` (as
            `"overlap"`, with the activation between the two).
        stem_patch_size: stride of the stem, a power of two.
        stem_norm: whether a norm follows the stem.
        kernel_size: side of the depthwise kernels; a tuple if the stages differ.
        mlp_ratio: ratio of hidden to input channels in a block. The number of hidden channels is rounded down.
        conv_mlp: whether timm's checkpoints store the pointwise layers as 1x1 convolutions. The function computed is
            the same.
        layer_scale_init_value: initial value of the layer scale; None for no layer scale.
        use_grn: whether Global Response Normalization follows the activation (V2).
        norm: `"layer_norm"`, `"rms_norm"` or `"simple_norm"`, for every norm of the network.
        norm_eps: epsilon of every norm.
        hidden_activation: activation of the blocks, `"gelu"`, `"gelu_tanh"` or a name in `keras.activations`.
        conv_bias: whether the convolutions of stem, downsampling layers and blocks have biases. The MLPs always have
            biases.
        head_norm_first: whether the head normalizes before it pools.
        head_hidden_size: width of a hidden layer in the head; None for a linear head.
        image_size: side in pixels of the images for which the published figures hold.
        source: where the row comes from.

    Example:

    >>> from keras_convnext import VARIANTS, ConvNeXtConfig
    >>> VARIANTS["convnext_tiny"].depths
    (3, 3, 9, 3)
    >>> ConvNeXtConfig(depths=(1, 1), dims=(16, 32)).kernel_sizes
    (7, 7)
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    stem: str = "patchify"
    stem_patch_size: int = 4
    stem_norm: bool = True
    kernel_size: int | tuple[int, ...] = 7
    mlp_ratio: int | float = 4
    conv_mlp: bool = False
    layer_scale_init_value: float | None = 1e-6
    use_grn: bool = False
    norm: str = "layer_norm"
    norm_eps: float = 1e-6
    hidden_activation: str = "gelu"
    conv_bias: bool = True
    head_norm_first: bool = False
    head_hidden_size: int | None = None
    image_size: int = 224
    source: str = ""

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The side of the depthwise kernels in each stage, as a tuple."""
        return self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * len(self.depths)

    def backbone_arguments(self) -> dict:
        """The arguments of `ConvNeXtBackbone` that this row fixes, as a dict."""
        return {name: getattr(self, name) for name in _BACKBONE_ARGUMENTS}

    def head_arguments(self) -> dict:
        """The arguments of `ConvNeXtClassifier` that this row fixes, as a dict."""
        return {name: getattr(self, name) for name in _HEAD_ARGUMENTS}


_HEAD_ARGUMENTS = ("head_norm_first", "head_hidden_size")
_CATALOG_ONLY = ("conv_mlp", "image_size", "source")
_BACKBONE_ARGUMENTS = tuple(
    field.name for field in fields(ConvNeXtConfig) if field.name not in _HEAD_ARGUMENTS + _CATALOG_ONLY
)

_V1: dict[str, Any] = {"source": "facebookresearch/ConvNeXt; arXiv:2201.03545 Table 9"}
_ISOTROPIC: dict[str, Any] = {
    "stem_patch_size": 16,
    "stem_norm": False,
    "source": "facebookresearch/ConvNeXt; arXiv:2201.03545 Table 2, A.1",
}
_V2: dict[str, Any] = {
    "use_grn": True,
    "layer_scale_init_value": None,
    "source": "facebookresearch/ConvNeXt-V2; arXiv:2301.00808 A.1",
}
_TIMM: dict[str, Any] = {"source": "huggingface/pytorch-image-models, timm/models/convnext.py"}
_TIMM_CONV: dict[str, Any] = {"conv_mlp": True, **_TIMM}
_TIMM_TEST: dict[str, Any] = {"norm_eps": 1e-5, "image_size": 160, **_TIMM}

_ZEPTO: dict[str, Any] = {"depths": (2, 2, 4, 2), "dims": (32, 64, 128, 256)}
_ATTO: dict[str, Any] = {"depths": (2, 2, 6, 2), "dims": (40, 80, 160, 320)}
_FEMTO: dict[str, Any] = {"depths": (2, 2, 6, 2), "dims": (48, 96, 192, 384)}
_PICO: dict[str, Any] = {"depths": (2, 2, 6, 2), "dims": (64, 128, 256, 512)}
_NANO: dict[str, Any] = {"depths": (2, 2, 8, 2), "dims": (80, 160, 320, 640)}
_TINY: dict[str, Any] = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768)}
_SMALL: dict[str, Any] = {"depths": (3, 3, 27, 3), "dims": (96, 192, 384, 768)}
_BASE: dict[str, Any] = {"depths": (3, 3, 27, 3), "dims": (128, 256, 512, 1024)}
_LARGE: dict[str, Any] = {"depths": (3, 3, 27, 3), "dims": (192, 384, 768, 1536)}
_XLARGE: dict[str, Any] = {"depths": (3, 3, 27, 3), "dims": (256, 512, 1024, 2048)}
_HUGE: dict[str, Any] = {"depths": (3, 3, 27, 3), "dims": (352, 704, 1408, 2816)}

VARIANTS = {
    # ConvNeXt
    "convnext_tiny": ConvNeXtConfig(**_TINY, **_V1),
    "convnext_small": ConvNeXtConfig(**_SMALL, **_V1),
    "convnext_base": ConvNeXtConfig(**_BASE, **_V1),
    "convnext_large": ConvNeXtConfig(**_LARGE, **_V1),
    "convnext_xlarge": ConvNeXtConfig(**_XLARGE, **_V1),
    # Isotropic ConvNeXt: one stage. Layer scale is off in S and B (A.1).
    "convnext_isotropic_small": ConvNeXtConfig(depths=(18,), dims=(384,), layer_scale_init_value=None, **_ISOTROPIC),
    "convnext_isotropic_base": ConvNeXtConfig(depths=(18,), dims=(768,), layer_scale_init_value=None, **_ISOTROPIC),
    "convnext_isotropic_large": ConvNeXtConfig(depths=(36,), dims=(1024,), **_ISOTROPIC),
    # ConvNeXt V2
    "convnextv2_atto": ConvNeXtConfig(**_ATTO, conv_mlp=True, **_V2),
    "convnextv2_femto": ConvNeXtConfig(**_FEMTO, conv_mlp=True, **_V2),
    "convnextv2_pico": ConvNeXtConfig(**_PICO, conv_mlp=True, **_V2),
    "convnextv2_nano": ConvNeXtConfig(**_NANO, conv_mlp=True, **_V2),
    "convnextv2_tiny": ConvNeXtConfig(**_TINY, **_V2),
    "convnextv2_small": ConvNeXtConfig(**_SMALL, **{**_V2, **_TIMM}),
    "convnextv2_base": ConvNeXtConfig(**_BASE, **_V2),
    "convnextv2_large": ConvNeXtConfig(**_LARGE, **_V2),
    "convnextv2_huge": ConvNeXtConfig(**_HUGE, **_V2),
    # timm's
    "convnext_zepto_rms": ConvNeXtConfig(**_ZEPTO, norm="simple_norm", **_TIMM_CONV),
    "convnext_zepto_rms_ols": ConvNeXtConfig(**_ZEPTO, stem="overlap_act", norm="simple_norm", **_TIMM_CONV),
    "convnext_atto": ConvNeXtConfig(**_ATTO, **_TIMM_CONV),
    "convnext_atto_ols": ConvNeXtConfig(**_ATTO, stem="overlap_tiered", **_TIMM_CONV),
    "convnext_atto_rms": ConvNeXtConfig(**_ATTO, norm="rms_norm", **_TIMM_CONV),
    "convnext_femto": ConvNeXtConfig(**_FEMTO, **_TIMM_CONV),
    "convnext_femto_ols": ConvNeXtConfig(**_FEMTO, stem="overlap_tiered", **_TIMM_CONV),
    "convnext_pico": ConvNeXtConfig(**_PICO, **_TIMM_CONV),
    "convnext_pico_ols": ConvNeXtConfig(**_PICO, stem="overlap_tiered", **_TIMM_CONV),
    "convnext_nano": ConvNeXtConfig(**_NANO, **_TIMM_CONV),
    "convnext_nano_ols": ConvNeXtConfig(**_NANO, stem="overlap", **_TIMM_CONV),
    "convnext_tiny_hnf": ConvNeXtConfig(**_TINY, head_norm_first=True, **_TIMM_CONV),
    "convnext_large_mlp": ConvNeXtConfig(**_LARGE, head_hidden_size=1536, image_size=256, **_TIMM),
    "convnext_xxlarge": ConvNeXtConfig(
        depths=(3, 4, 30, 3), dims=(384, 768, 1536, 3072), norm_eps=1e-5, image_size=256, **_TIMM
    ),
    # timm's smallest, for its own tests; trained like the others.
    "test_convnext": ConvNeXtConfig(
        depths=(1, 2, 4, 2), dims=(24, 32, 48, 64), hidden_activation="gelu_tanh", **_TIMM_TEST
    ),
    "test_convnext2": ConvNeXtConfig(
        depths=(1, 1, 1, 1), dims=(32, 64, 96, 128), hidden_activation="gelu_tanh", **_TIMM_TEST
    ),
    "test_convnext3": ConvNeXtConfig(
        depths=(1, 1, 1, 1),
        dims=(32, 64, 96, 128),
        kernel_size=(7, 5, 5, 3),
        hidden_activation="silu",
        **_TIMM_TEST,
    ),
    # Our own: for images of 8 to 40 pixels, such as the bundled digits.
    "convnext_mini": ConvNeXtConfig(
        depths=(2, 2, 2), dims=(32, 64, 128), stem_patch_size=1, image_size=8, source="keras_convnext"
    ),
}


BY_IMAGE_SIZE = (
    (16, "convnext_mini", 1),
    (40, "convnext_mini", 2),
    (80, "convnext_atto", 2),
    (float("inf"), "convnext_atto", 4),
)
"""The most pixels of the longer side of the images, and the variant and `stem_patch_size` to start with."""


def variant_for(image_size: int) -> tuple[str, int]:
    """The variant and the `stem_patch_size` to start with on images of a size.

    Args:
        image_size: the longer side in pixels.

    Returns:
        `(name, stem_patch_size)`.

    Example:

    >>> from keras_convnext.variants import variant_for
    >>> variant_for(32)
    ('convnext_mini', 2)
    """
    return next(row[1:] for row in BY_IMAGE_SIZE if image_size <= row[0])


def stem_for(name: str, image_size: int) -> int:
    """The `stem_patch_size` with which a variant suits images of a size.

    It is that of `variant_for`, except for two kinds of variants, which keep their own: an overlapping stem supports
    only stride 4, and in an isotropic network, which has a single stage, only the stem reduces the image.

    Args:
        name: a name in `VARIANTS`.
        image_size: the longer side in pixels.

    Returns:
        The stride of the stem.

    Raises:
        ValueError: there is no such variant.

    Example:

    >>> from keras_convnext.variants import stem_for
    >>> stem_for("convnext_tiny", 64), stem_for("convnext_tiny", 224)
    (2, 4)
    """
    row = get_variant(name)
    keeps_its_own = row.stem != "patchify" or len(row.depths) == 1
    return row.stem_patch_size if keeps_its_own else variant_for(image_size)[1]


def get_variant(name: str) -> ConvNeXtConfig:
    """The row of `VARIANTS` called `name`.

    Raises:
        ValueError: there is no such row; the message names the nearest ones.

    Example:

    >>> from keras_convnext.variants import get_variant
    >>> get_variant("convnext_tiny").dims
    (96, 192, 384, 768)
    """
    if name in VARIANTS:
        return VARIANTS[name]
    nearest = get_close_matches(str(name), VARIANTS, n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(nearest)}" if nearest else "VARIANTS has the names"
    raise ValueError(f"Unknown variant {name!r}: {hint}.")


def match(arguments: ConvNeXtConfig | dict, ignore: Sequence[str] = ()) -> str | None:
    """Finds the variant with given architecture arguments: the one answer to "which variant is this?".

    Layer scale is compared by its presence, since its initial value does not change the architecture.

    Args:
        arguments: `ConvNeXtConfig`, or architecture arguments by name, such as the `get_config()` of a
            `ConvNeXtBackbone`. Arguments that are missing are not compared, nor are other entries, such as `name`. A
            set stands for any of its values.
        ignore: names of arguments that are not compared, such as `("stem_patch_size",)`. Defaults to
            none.

    Returns:
        The name of the first such row of `VARIANTS`. None if there is no such row, or if `depths` or `dims` are
        missing.

    Example:

    >>> from keras_convnext.variants import match
    >>> match({"depths": [3, 3, 9, 3], "dims": [96, 192, 384, 768], "use_grn": True})
    'convnextv2_tiny'
    """
    if isinstance(arguments, ConvNeXtConfig):
        arguments = arguments.backbone_arguments() | arguments.head_arguments()
    if "depths" not in arguments or "dims" not in arguments:
        return None
    compared = [name for name in _BACKBONE_ARGUMENTS + _HEAD_ARGUMENTS if name in arguments and name not in ignore]
    for name, row in VARIANTS.items():
        if all(_has(row, argument, arguments[argument]) for argument in compared):
            return name
    return None


def _has(row, argument, value):
    """Whether a row has a value, or one of a set of values, for an argument."""
    if argument == "layer_scale_init_value":
        return (row.layer_scale_init_value is None) == (value is None)
    if isinstance(value, set | frozenset):
        return any(_has(row, argument, one) for one in value)
    value = tuple(value) if isinstance(value, list) else value
    if argument == "kernel_size":
        return row.kernel_sizes == (value if isinstance(value, tuple) else (value,) * len(row.depths))
    return getattr(row, argument) == value
