"""The catalog of published checkpoints: their variants, addresses, licences, and how they were evaluated."""

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from keras_convnext.checkpoints import published
from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.variants import VARIANTS

SQUASH_FROM = 384
"""The image size, in pixels, from which on the authors' evaluation resizes the whole image to a square."""

WEIGHT_SUFFIXES = (".keras", ".pth", ".pt", ".bin", ".safetensors", ".h5")
"""The suffixes of files of weights. A dot alone does not make a path, since names of presets have dots too."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        name: name of the preset.
        variant: name of its architecture in `VARIANTS`.
        url: address of the file.
        license: licence of the weights; an SPDX identifier if there is one.
        num_classes: size of the last layer's output; 0 if there is no such layer.
        image_size: side in pixels of the images on which it was evaluated.
        crop_pct: `image_size` divided by the shorter side of the resized image, whose centre is cropped.
        squash: whether the whole image is resized to a square instead, without keeping its aspect ratio.
        interpolation: `"bicubic"` or `"bilinear"`, Pillow's filter.
        mean: mean per channel, in units of 0..1, which is subtracted from the images.
        std: standard deviation per channel, in units of 0..1, by which the images are divided.
        top1: published accuracy in percent on ImageNet-1k's validation images; None if none was published.
        top5: published accuracy among the five best classes, likewise.
        task: `"classification"`, or `"segmentation"` for a `segmentation.UPerNet`.
        miou: published mean IoU in percent on ADE20K's validation images, at one scale; None if none was published.
        sha256: SHA-256 of the file, or its first digits; empty if none was published.
        hub_name: name of these weights on the hub, by timm or transformers; empty if they are not there.

    Example:

    >>> from keras_convnext.checkpoints import CHECKPOINTS
    >>> checkpoint = CHECKPOINTS["convnext_tiny_1k_224_ema"]
    >>> checkpoint.variant, checkpoint.top1, checkpoint.license
    ('convnext_tiny', 82.1, 'MIT')
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
    task: str = "classification"
    miou: float | None = None
    sha256: str = ""
    hub_name: str = ""

    @property
    def is_classifier(self) -> bool:
        """Whether its outputs are classes (ImageNet's 1000, 11821 or 21841), not features or CLIP's embedding."""
        return self.num_classes in (1000, 11821, 21841)

    @property
    def is_segmenter(self) -> bool:
        """Whether it is a checkpoint of a `segmentation.UPerNet`, with its backbone and heads."""
        return self.task == "segmentation"

    @property
    def output(self) -> str:
        """What the model outputs: `"classes"`, `"embedding"` (CLIP's, of size `num_classes`) or `"features"`.

        The value `"masked pre-training"` stands for the features of a network that needs fine-tuning, and
        `"label map"` for a class per pixel, of ADE20K's `num_classes`.
        """
        if self.is_segmenter:
            return "label map"
        if self.is_classifier:
            return "classes"
        if self.num_classes:
            return "embedding"
        return "masked pre-training" if "_fcmae." in self.url else "features"


def _authors(rows, folder, license):
    """The authors' evaluation resizes to a square from 384 pixels on (facebookresearch/ConvNeXt, datasets.py)."""
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


def _upernet():
    """The authors' semantic segmentation on ADE20K, in the repository, and under the licence, of their classifiers."""
    for name, variant, size, miou in published.UPERNET:
        yield Checkpoint(
            name,
            variant,
            f"https://dl.fbaipublicfiles.com/convnext/ade20k/{name}.pth",
            "MIT",
            num_classes=150,
            image_size=size,
            crop_pct=1.0,
            interpolation="bilinear",
            task="segmentation",
            miou=miou,
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
    """These are converted from the authors' checkpoints, and so under the same licence."""
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
    """DINOv3's checkpoints with transformers' resizing of images, which differs from that of timm's conversions."""
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
        *_upernet(),
        *_torchvision(),
        *_keras_applications(),
        *_timm_releases(),
        *_timm_hub(),
        *_timm_of_authors(_AUTHORS),
        *_dinov3_hub(),
    )
}
"""Every published checkpoint by its preset's name: the authors' file name, or timm's or DINOv3's name on the hub."""

_HUB_NAMES = {entry.hub_name: name for name, entry in CHECKPOINTS.items() if entry.hub_name}


def list_presets(pattern: str = "*") -> list[str]:
    """Names of the presets that match a pattern: the variants, then the checkpoints.

    Args:
        pattern: a part of the name, such as `"atto"`, or a pattern for the whole name as in `fnmatch`, in which `*`
            stands for any characters and `?` for one. Case does not matter. Names on the hub match too, such as
            `"timm/*"`. Defaults to `"*"`.

    Returns:
        A list of names, each of which `from_preset` accepts. A variant is an architecture, randomly initialized.

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


def find_preset(name: str) -> tuple[str, Checkpoint | None]:
    """Looks a preset up in the catalog. A preset precedes a file or folder of the same name.

    Args:
        name: a name that `list_presets()` returns, or its name on the hub, such as `"timm/convnext_tiny.fb_in1k"` or
            `"facebook/convnext-tiny-224"`.

    Returns:
        `(variant, checkpoint)`: the name of a row of `VARIANTS`, and a `Checkpoint`; the latter is None for a variant.

    Raises:
        ValueError: there is no such preset. The message has the most similar names, or the functions that take a path.

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
    if is_path(name):
        raise ValueError(
            f"Expected the name of a preset. Received the path of a file or folder: {str(name)!r}. Use `load_model` to "
            "load the model of a file or run folder, or `load_checkpoint` to load a file into an existing model."
        )
    nearest = get_close_matches(bare.lower(), (*VARIANTS, *CHECKPOINTS, *_HUB_NAMES), n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(nearest)}"
    if not nearest:
        hint = "`keras-convnext list` prints the names, list_presets() returns them"
    raise ValueError(f"Unknown preset {name!r}: {hint}.")


def is_path(name: str | Path) -> bool:
    """Whether a name that is not a preset is meant as a path: the path exists, or the name is written like one.

    Example:

    >>> from keras_convnext.checkpoints.catalog import is_path
    >>> [is_path(name) for name in ("model.pth", "./model", "timm/convnext_tiny.fb")]
    [True, True, False]
    """
    text = str(name)
    path = Path(text)
    written_like_one = path.suffix in WEIGHT_SUFFIXES or path.is_absolute() or text.startswith((".", "~"))
    return written_like_one or os.path.exists(text)
