"""The checkpoints that others published: which variant each is of, where it is, its licence, how it was evaluated."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from keras_convnext.checkpoints import published
from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.variants import VARIANTS

SQUASH_FROM = 384
"""From how many pixels up the authors' evaluation squashes the whole picture to a square."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        name: str, in the catalog.
        variant: str, the name in `VARIANTS` of its architecture.
        url: str, where its file is.
        license: str, of the weights; an SPDX identifier where there is one.
        num_classes: int, size of the last layer's output; 0 where there is no such layer.
        image_size: int, side in pixels of the images it was evaluated on.
        crop_pct: float, that side over the shorter side of the resized image, of which the centre is cropped.
        squash: bool, whether the image is resized to a square instead, its proportions not kept.
        interpolation: `"bicubic"` or `"bilinear"`, Pillow's filter.
        mean, std: tuple of float in units of 0..1, what the image is normalized with.
        top1, top5: float, accuracy in percent on ImageNet-1k's validation images as published; None where it was not.
        sha256: str, of the file, or its first digits; empty where it was not published.
        hub_name: str, what timm or transformers call these weights on the hub; empty where they do not have them.
    """

    name: str
    variant: str
    url: str
    license: str
    num_classes: int = 1000
    image_size: int = 224
    crop_pct: float = 0.875
    squash: bool = False
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    top1: float | None = None
    top5: float | None = None
    sha256: str = ""
    hub_name: str = ""

    @property
    def is_classifier(self):
        """Whether its outputs are classes of images: ImageNet's 1000, 11821 or 21841, and not features or CLIP's."""
        return self.num_classes in (1000, 11821, 21841)

    @property
    def output(self):
        """What the model gives: `"classes"`, `"embedding"` (CLIP's, of `num_classes` numbers) or `"features"`.

        Those of masked pre-training are `"masked pre-training"`: features of a network that is to be fine-tuned.
        """
        if self.is_classifier:
            return "classes"
        if self.num_classes:
            return "embedding"
        return "masked pre-training" if "_fcmae." in self.url else "features"

    @property
    def is_commercial(self):
        """Whether the licence is known to allow commercial use."""
        return self.license in ("MIT", "Apache-2.0", "BSD-3-Clause")


def _authors(rows, folder, license):
    """The authors' evaluation resizes to a square from 384 pixels up (facebookresearch/ConvNeXt, datasets.py)."""
    for path, variant, size, classes, top1, hub_name in rows:
        squash = size >= SQUASH_FROM
        yield Checkpoint(
            path.rpartition("/")[2].rpartition(".")[0],
            variant,
            f"https://dl.fbaipublicfiles.com/convnext/{folder}{path}",
            license,
            classes,
            size,
            1.0 if squash else 0.875,
            squash,
            top1=top1,
            hub_name=hub_name or "",
        )


def _torchvision():
    for variant, file, resized, top1, top5 in published.TORCHVISION:
        yield Checkpoint(
            f"torchvision/{variant}",
            variant,
            f"https://download.pytorch.org/models/{file}",
            "BSD-3-Clause",
            crop_pct=224 / resized,
            interpolation="bilinear",
            top1=top1,
            top5=top5,
            sha256=_digits(file),
        )


def _keras_applications():
    """Converted from the authors' checkpoints, and so under their licence."""
    for variant, top1, sha256, sha256_notop in published.KERAS_APPLICATIONS:
        name = f"keras.applications/{variant}"
        url = f"https://storage.googleapis.com/tensorflow/keras-applications/convnext/{variant}"
        yield Checkpoint(name, variant, f"{url}.h5", "MIT", top1=top1, sha256=sha256)
        yield Checkpoint(f"{name}_notop", variant, f"{url}_notop.h5", "MIT", num_classes=0, sha256=sha256_notop)


def _timm_releases():
    for name, file, crop_pct, top1, top5 in published.TIMM_RELEASES:
        yield Checkpoint(
            name,
            name.partition(".")[0],
            f"https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-rsb-weights/{file}",
            "Apache-2.0",
            crop_pct=crop_pct,
            top1=top1,
            top5=top5,
            sha256=_digits(file),
            hub_name=f"timm/{name}",
        )


def _timm_hub():
    for name, size, classes, crop_pct, top1, top5, changes in published.TIMM_HUB:
        entry = Checkpoint(
            name,
            name.partition(".")[0],
            f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors",
            "Apache-2.0",
            classes,
            size,
            crop_pct,
            top1=top1,
            top5=top5,
            hub_name=f"timm/{name}",
        )
        yield replace(entry, **changes)


def _dinov3_hub():
    """As transformers has them; timm's conversions of the same weights are prepared with another resizing."""
    for name, variant in published.DINOV3_HUB:
        yield Checkpoint(
            name,
            variant,
            f"https://huggingface.co/{name}/resolve/main/model.safetensors",
            num_classes=0,
            crop_pct=1.0,
            interpolation="bilinear",
            hub_name=name,
            **published.SQUASH,
            **published.DINOV3,
        )


def _timm_of_authors(authors):
    for name, source, top1, top5 in published.TIMM_OF_AUTHORS:
        yield replace(authors[source], name=name, top1=top1, top5=top5, hub_name=f"timm/{name}")


def _digits(file):
    """`"convnext_tiny-983f1562.pth"` -> `"983f1562"`."""
    return file.rpartition("-")[2].partition(".")[0]


_AUTHORS = {
    entry.name: entry
    for entry in (*_authors(published.V1, "", "MIT"), *_authors(published.V2, "convnextv2/", "CC-BY-NC-4.0"))
}
CHECKPOINTS = {
    entry.name: entry
    for entry in (
        *_AUTHORS.values(),
        *_torchvision(),
        *_keras_applications(),
        *_timm_releases(),
        *_timm_hub(),
        *_timm_of_authors(_AUTHORS),
        *_dinov3_hub(),
    )
}
"""Every published checkpoint by name: the authors' by the names of their files, timm's and DINOv3's by the hub's."""

_HUB_NAMES = {entry.hub_name: name for name, entry in CHECKPOINTS.items() if entry.hub_name}


def list_presets(pattern="*"):
    """Names of the presets that match a pattern: the variants, then the checkpoints.

    Args:
        pattern: str, a part of the name, such as `"atto"`; or shell-style, as in `fnmatch`, for the whole name: `*` any
            characters, `?` one. Upper and lower case are the same. A name on the hub may match too, as `"timm/*"`.

    Returns:
        A list of names, each accepted by `from_preset`. A variant is an architecture, with new weights.

    Example:

    >>> from keras_convnext import list_presets
    >>> list_presets("convnextv2_?a*_1k_*_ema")
    ['convnextv2_nano_1k_224_ema', 'convnextv2_base_1k_224_ema', 'convnextv2_large_1k_224_ema']
    """
    pattern = pattern.lower()
    if pattern and not any(character in pattern for character in "*?["):
        pattern = f"*{pattern}*"
    variants = [name for name in VARIANTS if fnmatchcase(name, pattern)]
    checkpoints = [
        entry.name
        for entry in CHECKPOINTS.values()
        if any(fnmatchcase(name.lower(), pattern) for name in (entry.name, entry.hub_name) if name)
    ]
    return variants + checkpoints


def find_preset(name):
    """What a preset's name stands for.

    Args:
        name: str, one that `list_presets()` has, or the name that timm or transformers has for it on the hub, such as
            `"timm/convnext_tiny.fb_in1k"` or `"facebook/convnext-tiny-224"`.

    Returns:
        `(variant, checkpoint)`: the name of a row of `VARIANTS`, and a `Checkpoint`, or None for new weights.

    Raises:
        ValueError: no such preset; the message names the nearest ones.

    Example:

    >>> from keras_convnext.checkpoints import find_preset
    >>> find_preset("convnext_tiny")
    ('convnext_tiny', None)
    >>> find_preset("facebook/convnext-tiny-224")[1].top1
    82.1
    """
    if name in VARIANTS:
        return name, None
    bare = str(name).removeprefix("hf_hub:").removeprefix("hf-hub:")
    checkpoint = CHECKPOINTS.get(_HUB_NAMES.get(bare, bare))
    if checkpoint:
        return checkpoint.variant, checkpoint
    if bare.removeprefix("timm/") in published.WITHOUT_WEIGHTS:
        variant = bare.removeprefix("timm/").partition(".")[0]
        raise ValueError(f"{name}: no weights were published. {variant!r} is the architecture, randomly initialized.")
    nearest = get_close_matches(bare.lower(), (*VARIANTS, *CHECKPOINTS, *_HUB_NAMES), n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(nearest)}"
    if not nearest:
        hint = "`keras-convnext list` prints the names, list_presets() returns them"
    raise ValueError(f"Unknown preset {name!r}: {hint}.")
