"""The layouts: how each source of checkpoints names and stores the weights, in a table per source.

A row has the path of one of our layers, the source's name for that layer, and how the source stores its arrays. `{s}`
is the index of a stage, `{b}` that of a block within it, and `{previous}` and `{following}` are those of the stages
before and after. `{leading}` and `{features}` are indices into torchvision's `features`, which has two entries per
stage: the stem or downsampling layer before the stage, and the stage.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Array:
    """How a source stores one of our arrays.

    Attributes:
        suffix: suffix that follows the name of the layer.
        axes: permutation of the axes, applied first; None for none.
        shape: function of the permuted shape that returns the stored shape.
    """

    suffix: str
    axes: tuple[int, ...] | None = None
    shape: Callable = tuple

    def stored(self, value):
        """Converts our array to the stored one."""
        value = value if self.axes is None else value.transpose(self.axes)
        return np.ascontiguousarray(value.reshape(self.shape(value.shape)))

    def stored_shape(self, shape):
        """The shape in which the source stores our array of the given shape."""
        return tuple(self.shape(shape if self.axes is None else tuple(shape[axis] for axis in self.axes)))

    def restored(self, value, shape):
        """Converts the stored array to ours, which has the given shape."""
        if self.axes is None:
            return value.reshape(shape)
        return value.reshape([shape[axis] for axis in self.axes]).transpose(np.argsort(self.axes))


def _leading(ones):
    return lambda shape: (*(1,) * ones, *shape)


def _trailing(ones):
    return lambda shape: (*shape, *(1,) * ones)


# === torch: convolutions as (out, in, height, width), linear layers as (out, in)
_BIAS = {"bias": Array(".bias")}
CONV = {"kernel": Array(".weight", (3, 2, 0, 1)), **_BIAS}
DEPTHWISE = {"kernel": Array(".weight", (2, 3, 0, 1)), **_BIAS}
LINEAR = {"kernel": Array(".weight", (1, 0)), **_BIAS}
LINEAR_AS_CONV = {"kernel": Array(".weight", (1, 0), _trailing(2)), **_BIAS}
NORM = {"gamma": Array(".weight"), "beta": Array(".bias")}
BATCH_NORM = {**NORM, "moving_mean": Array(".running_mean"), "moving_variance": Array(".running_var")}
SCALE = {"gamma": Array("")}
SCALE_OF_MAPS = {"gamma": Array("", shape=_trailing(2))}
GRN = {"gamma": Array(".gamma", shape=_leading(3)), "beta": Array(".beta", shape=_leading(3))}
GRN_AS_NORM = {"gamma": Array(".weight", shape=_leading(3)), "beta": Array(".bias", shape=_leading(3))}

# === Sparse convolutions of the masked auto-encoder: a row per position of the kernel, column by column
_COLUMNS_FIRST = (1, 0, 2, 3)
_SPARSE_BIAS = {"bias": Array(".bias", shape=_leading(1))}
SPARSE_CONV = {
    "kernel": Array(".kernel", _COLUMNS_FIRST, lambda shape: (shape[0] * shape[1], *shape[2:])),
    **_SPARSE_BIAS,
}
SPARSE_DEPTHWISE = {
    "kernel": Array(".kernel", _COLUMNS_FIRST, lambda shape: (shape[0] * shape[1], shape[2])),
    **_SPARSE_BIAS,
}
SPARSE_GRN = {"gamma": Array(".gamma", shape=_leading(1)), "beta": Array(".beta", shape=_leading(1))}

# === Keras: arrays as ours, except depthwise kernels, stored as (height, width, 1, channels)
KERAS = {name: Array(f"/{name}") for name in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")}
KERAS_DEPTHWISE = {**KERAS, "kernel": Array("/kernel", (0, 1, 3, 2))}


class Entry(NamedTuple):
    """One of our weights in a layout: its name, how it is stored, and the index of its row in the table."""

    name: str
    array: Array
    row: int


@dataclass(frozen=True)
class Layout:
    """The table of one source, or one of several tables of a source that names its models differently.

    Attributes:
        name: name of the source.
        rows: tuples of our layer's path, the source's name for it, and how its arrays are stored.
        conv_mlp: whether pointwise layers are stored as 1x1 convolutions.
        head_norm_first: whether the models normalize before they pool; None for both kinds.
        ignored: pattern for names that a checkpoint may have besides those of a classifier.
        stem_activation: whether the models have an activation between the stem's convolutions.
        wrapper: the key of the weights in a torch file, where the source's scripts expect one.
    """

    name: str
    rows: tuple[tuple[str, str, dict], ...]
    conv_mlp: bool = False
    head_norm_first: bool | None = False
    ignored: str = r"(?!)"
    stem_activation: bool = False
    wrapper: str | None = None

    def entry(self, path):
        """The source's name for one of our weights, and how it is stored; None if the source has no such weight."""
        layer, _, weight = path.rpartition("/")
        for row, (ours, theirs, arrays) in enumerate(self.rows):
            numbers = re.fullmatch(ours.replace("{s}", r"(?P<s>\d+)").replace("{b}", r"(?P<b>\d+)"), layer)
            if numbers and weight in arrays:
                numbers = {key: int(number) for key, number in numbers.groupdict().items()}
                stage = numbers.get("s", 0)
                near = {"previous": stage - 1, "following": stage + 1}
                name = theirs.format(**numbers, **near, leading=2 * stage, features=2 * stage + 1)
                return Entry(name + arrays[weight].suffix, arrays[weight], row)
        return None

    def has_head_like(self, head_norm_first):
        """Whether the layout is for models with such a head. None, for a model without a head, fits every layout."""
        return None in (head_norm_first, self.head_norm_first) or head_norm_first == self.head_norm_first

    @property
    def is_segmenter(self):
        """Whether the layout is for whole UPerNets."""
        return any(ours == "pixel_head" for ours, _, _ in self.rows)

    def head(self):
        """The source's names for all weights that heads have."""
        return {
            theirs + array.suffix
            for ours, theirs, arrays in self.rows
            if ours.startswith("head")
            for array in arrays.values()
        }


def _blocks(block, conv, norm, first, second, scale=None, grn=None, linear=LINEAR):
    """The rows of a block, from the source's names of its layers."""
    ours = "stage_{s}_block_{b}/"
    rows = [
        (ours + "depthwise_conv", block + conv, DEPTHWISE),
        (ours + "norm", block + norm, NORM),
        (ours + "pointwise_conv_1", block + first, linear),
        (ours + "pointwise_conv_2", block + second, linear),
    ]
    rows += [(ours + "layer_scale", block + scale[0], scale[1])] if scale else []
    rows += [(ours + "grn", block + grn[0], grn[1])] if grn else []
    return tuple(rows)


_OFFICIAL_PARTS = {"conv": "dwconv", "norm": "norm", "first": "pwconv1", "second": "pwconv2"}


def _official(prefix="", ignored=r"(?!)"):
    return Layout(
        "official",
        (
            ("stem/conv", prefix + "downsample_layers.0.0", CONV),
            ("stem/norm", prefix + "downsample_layers.0.1", NORM),
            ("stage_{s}_downsample/norm", prefix + "downsample_layers.{s}.0", NORM),
            ("stage_{s}_downsample/conv", prefix + "downsample_layers.{s}.1", CONV),
            *_blocks(prefix + "stages.{s}.{b}.", **_OFFICIAL_PARTS, scale=("gamma", SCALE), grn=("grn", GRN)),
            ("stage_{s}_norm", prefix + "norm{s}", NORM),
            ("head_norm", prefix + "norm", NORM),
            ("head", prefix + "head", LINEAR),
        ),
        ignored=ignored,
        wrapper="model",
    )


# DINOv3's own files contain the last norm twice; EUPE's contain the projectors of the distillation.
_OFFICIAL = _official(ignored=r"(norms|projectors)\..*")
_OFFICIAL_DETECTOR = _official("backbone.", r"(neck|\w+_head)\..*")

_ISOTROPIC = Layout(
    "official",
    (
        ("stem/conv", "stem", CONV),
        *(
            (ours.replace("{s}", "0"), theirs, arrays)
            for ours, theirs, arrays in _blocks("blocks.{b}.", **_OFFICIAL_PARTS, scale=("gamma", SCALE))
        ),
        ("head_norm", "norm", NORM),
        ("head", "head", LINEAR),
    ),
    wrapper="model",
)

_FCMAE = Layout(
    "fcmae",
    (
        ("stem/conv", "encoder.downsample_layers.0.0", CONV),
        ("stem/norm", "encoder.downsample_layers.0.1", NORM),
        ("stage_{s}_downsample/norm", "encoder.downsample_layers.{s}.0.ln", NORM),
        ("stage_{s}_downsample/conv", "encoder.downsample_layers.{s}.1", SPARSE_CONV),
        ("stage_{s}_block_{b}/depthwise_conv", "encoder.stages.{s}.{b}.dwconv", SPARSE_DEPTHWISE),
        ("stage_{s}_block_{b}/norm", "encoder.stages.{s}.{b}.norm.ln", NORM),
        ("stage_{s}_block_{b}/pointwise_conv_1", "encoder.stages.{s}.{b}.pwconv1.linear", LINEAR),
        ("stage_{s}_block_{b}/pointwise_conv_2", "encoder.stages.{s}.{b}.pwconv2.linear", LINEAR),
        ("stage_{s}_block_{b}/grn", "encoder.stages.{s}.{b}.grn", SPARSE_GRN),
    ),
    ignored=r"decoder.*|mask_token|proj\..*|pred\..*",
    wrapper="model",
)


def _timm(stem, conv_mlp=False, head_norm_first=False):
    return Layout(
        "timm",
        (
            *stem,
            ("stage_{s}_downsample/norm", "stages.{s}.downsample.0", NORM),
            ("stage_{s}_downsample/conv", "stages.{s}.downsample.1", CONV),
            *_blocks(
                "stages.{s}.blocks.{b}.",
                conv="conv_dw",
                norm="norm",
                first="mlp.fc1",
                second="mlp.fc2",
                scale=("gamma", SCALE),
                grn=("mlp.grn", NORM),
                linear=LINEAR_AS_CONV if conv_mlp else LINEAR,
            ),
            ("head_norm", "norm_pre" if head_norm_first else "head.norm", NORM),
            ("head_hidden", "head.pre_logits.fc", LINEAR),
            ("head", "head.fc", LINEAR),
        ),
        conv_mlp,
        head_norm_first,
        stem_activation=stem is _TIMM_OVERLAP_ACT,
    )


_TIMM_PATCHES = (("stem/conv", "stem.0", CONV), ("stem/norm", "stem.1", NORM))
_TIMM_OVERLAP = (("stem/conv_1", "stem.0", CONV), ("stem/conv_2", "stem.1", CONV), ("stem/norm", "stem.2", NORM))
_TIMM_OVERLAP_ACT = (("stem/conv_1", "stem.0", CONV), ("stem/conv_2", "stem.2", CONV), ("stem/norm", "stem.3", NORM))


_TRANSFORMERS_LEVELS = (
    ("stem_norm", "hidden_states_norms.stem", NORM),  # of a level that no model in this package has
    ("stage_{s}_norm", "hidden_states_norms.stage{following}", NORM),
)


def _transformers(prefix, ignored=r"(?!)", **of_a_version):
    """The table of a classifier with the prefix `convnext.` or `convnextv2.`, else that of a backbone with levels."""
    levels = [(ours, prefix + theirs, arrays) for ours, theirs, arrays in _TRANSFORMERS_LEVELS]
    return Layout(
        "transformers",
        (
            ("stem/conv", f"{prefix}embeddings.patch_embeddings", CONV),
            ("stem/norm", f"{prefix}embeddings.layernorm", NORM),
            ("stage_{s}_downsample/norm", prefix + "encoder.stages.{s}.downsampling_layer.0", NORM),
            ("stage_{s}_downsample/conv", prefix + "encoder.stages.{s}.downsampling_layer.1", CONV),
            *_blocks(
                prefix + "encoder.stages.{s}.layers.{b}.",
                **{**_OFFICIAL_PARTS, "norm": "layernorm"},
                **of_a_version,
            ),
            *([] if prefix.startswith("convnext") else levels),
            ("head_norm", f"{prefix}layernorm", NORM),
            ("head", "classifier", LINEAR),
        ),
        ignored=ignored,
    )


def _dinov3(prefix):
    return Layout(
        "dinov3",
        (
            ("stem/conv", prefix + "stages.0.downsample_layers.0", CONV),
            ("stem/norm", prefix + "stages.0.downsample_layers.1", NORM),
            ("stage_{s}_downsample/norm", prefix + "stages.{s}.downsample_layers.0", NORM),
            ("stage_{s}_downsample/conv", prefix + "stages.{s}.downsample_layers.1", CONV),
            *_blocks(
                prefix + "stages.{s}.layers.{b}.",
                conv="depthwise_conv",
                norm="layer_norm",
                first="pointwise_conv1",
                second="pointwise_conv2",
                scale=("gamma", SCALE),
            ),
            ("head_norm", "layer_norm", NORM),
        ),
    )


_TORCHVISION = Layout(
    "torchvision",
    (
        ("stem/conv", "features.0.0", CONV),
        ("stem/norm", "features.0.1", NORM),
        ("stage_{s}_downsample/norm", "features.{leading}.0", NORM),
        ("stage_{s}_downsample/conv", "features.{leading}.1", CONV),
        *_blocks(
            "features.{features}.{b}.",
            conv="block.0",
            norm="block.2",
            first="block.3",
            second="block.5",
            scale=("layer_scale", SCALE_OF_MAPS),
        ),
        ("head_norm", "classifier.0", NORM),
        ("head", "classifier.2", LINEAR),
    ),
)

_KERAS_BLOCK = "stage_{s}_block_{b}_"
_KERAS_APPLICATIONS = Layout(
    "keras.applications",
    (
        ("stem/conv", "stem_conv", KERAS),
        ("stem/norm", "stem_layernorm", KERAS),
        ("stage_{s}_downsample/norm", "downsampling_layernorm_{previous}", KERAS),
        ("stage_{s}_downsample/conv", "downsampling_conv_{previous}", KERAS),
        ("stage_{s}_block_{b}/depthwise_conv", _KERAS_BLOCK + "depthwise_conv", KERAS_DEPTHWISE),
        ("stage_{s}_block_{b}/norm", _KERAS_BLOCK + "layernorm", KERAS),
        ("stage_{s}_block_{b}/pointwise_conv_1", _KERAS_BLOCK + "pointwise_conv_1", KERAS),
        ("stage_{s}_block_{b}/pointwise_conv_2", _KERAS_BLOCK + "pointwise_conv_2", KERAS),
        ("stage_{s}_block_{b}/layer_scale", _KERAS_BLOCK + "layer_scale", KERAS),
        ("head_norm", "head_layernorm", KERAS),
        ("head", "head_dense", KERAS),
    ),
)


def _upernet(backbone, norm, classifier, wrapper=None):
    """The table of a whole UPerNet, from that of its backbone and the names of two layers of mmsegmentation's heads."""
    blocks = {
        "pyramid_pooling/scale_{s}": "decode_head.psp_modules.{s}.1",
        "pyramid_pooling/bottleneck": "decode_head.bottleneck",
        "feature_pyramid/lateral_{s}": "decode_head.lateral_convs.{s}",
        "feature_pyramid/output_{s}": "decode_head.fpn_convs.{s}",
        "level_fusion/bottleneck": "decode_head.fpn_bottleneck",
        "auxiliary_conv": "auxiliary_head.convs.0",
    }
    rows = [row for row in backbone.rows if not row[0].startswith("head")]
    rows += [(f"{ours}/conv", f"{theirs}.conv", CONV) for ours, theirs in blocks.items()]
    rows += [(f"{ours}/norm", f"{theirs}.{norm}", BATCH_NORM) for ours, theirs in blocks.items()]
    rows += [("pixel_head", f"decode_head.{classifier}", CONV)]
    rows += [("auxiliary_pixel_head", f"auxiliary_head.{classifier}", CONV)]
    return Layout(backbone.name, tuple(rows), ignored=r".*\.num_batches_tracked", wrapper=wrapper)


_UPERNET = _upernet(_OFFICIAL_DETECTOR, norm="bn", classifier="conv_seg", wrapper="state_dict")
_SEGMENTER_HEADS = r"(decode|auxiliary)_head\..*"
_TRANSFORMERS_SEGMENTERS = (
    _transformers("backbone.", _SEGMENTER_HEADS, scale=("layer_scale_parameter", SCALE)),
    _transformers("backbone.", _SEGMENTER_HEADS, grn=("grn", GRN_AS_NORM)),
)
_TRANSFORMERS_UPERNETS = tuple(
    _upernet(one, norm="batch_norm", classifier="classifier") for one in _TRANSFORMERS_SEGMENTERS
)

_OUR_LAYERS = dict.fromkeys(
    ours for layout in (_OFFICIAL, _timm(_TIMM_OVERLAP), _KERAS_APPLICATIONS, _UPERNET) for ours, _, _ in layout.rows
)
_OURS = Layout("keras_convnext", tuple((ours, ours, KERAS) for ours in _OUR_LAYERS), head_norm_first=None)

LAYOUTS = (
    _ISOTROPIC,
    _OFFICIAL,
    _OFFICIAL_DETECTOR,
    _UPERNET,
    _FCMAE,
    _timm(_TIMM_PATCHES),
    _timm(_TIMM_PATCHES, conv_mlp=True),
    _timm(_TIMM_PATCHES, conv_mlp=True, head_norm_first=True),
    _timm(_TIMM_OVERLAP, conv_mlp=True),
    _timm(_TIMM_OVERLAP_ACT, conv_mlp=True),
    _TORCHVISION,
    _transformers("convnext.", scale=("layer_scale_parameter", SCALE)),
    _transformers("convnextv2.", grn=("grn", GRN_AS_NORM)),
    _transformers("", scale=("layer_scale_parameter", SCALE)),
    _transformers("", grn=("grn", GRN_AS_NORM)),
    *_TRANSFORMERS_SEGMENTERS,
    *_TRANSFORMERS_UPERNETS,
    _dinov3(""),
    _dinov3("model."),
    _KERAS_APPLICATIONS,
    _OURS,
)
"""If a source has several tables, the first one with all weights of a model is used."""
