"""Loading a model's weights from a checkpoint, and saving them as a checkpoint, in the layouts of other packages."""

import warnings
from pathlib import Path

import keras
import numpy as np

from keras_convnext.checkpoints.catalog import Checkpoint
from keras_convnext.checkpoints.download import cached_file
from keras_convnext.checkpoints.errors import DamagedFileError
from keras_convnext.checkpoints.float_weights import require_float_weights
from keras_convnext.checkpoints.layouts import LAYOUTS, Layout
from keras_convnext.checkpoints.merge import HEAD, LEVEL_NORMS, find_layout, merge
from keras_convnext.checkpoints.origin import Origin, origin_of, restriction, set_origin
from keras_convnext.checkpoints.parts import differing_parts
from keras_convnext.checkpoints.read import check_readable, read_arrays
from keras_convnext.checkpoints.write import WRITERS, write_arrays
from keras_convnext.extras import require
from keras_convnext.variants import VARIANTS, match

WRITTEN = tuple(dict.fromkeys(layout.name for layout in LAYOUTS if layout.name != "keras_convnext"))
"""The layouts that `save_checkpoint` writes. `model.save` writes this package's own."""

PLAIN = {"norm": "layer_norm", "hidden_activation": "gelu", "conv_bias": True}
"""The arguments that the models of all sources except timm have."""

ALWAYS_SCALED = ("torchvision", "dinov3", "keras.applications")
"""The sources whose blocks all have a layer scale."""


def load_checkpoint(model: keras.Model, path: str | Path, adapt_stem: bool = False, ema: bool = False) -> str:
    """Loads the weights of a checkpoint, written by this package or another one, into a model.

    The kind of file and its layout are recognized from its content. Every weight of the model must have a counterpart
    in the file, and every array of the file must have one in the model; otherwise nothing is loaded. There are three
    exceptions. If the number of classes differs, the last layer is not loaded; if the file has no head, the model's
    head is unchanged. In both cases a warning says so. If the model has no last layer, that of the file is ignored.
    For a `segmentation.UPerNet` the same holds of both last layers, and of an auxiliary head that only one side has.
    Other things that a training script saved, such as an optimizer, are ignored too.

    If the preset or the licence of the weights is known, the model keeps it in its configuration. A licence that
    restricts the use of the weights causes a warning.

    Args:
        model: a `ConvNeXtClassifier`, `ConvNeXtBackbone` or `segmentation.UPerNet`.
        path: path of a file of torch (`.pth`; no code in its pickle is run), safetensors, Keras (`.keras`) or
            keras.applications (`.h5`). Its layout may be the authors' (V1, V2, isotropic models, masked pre-training,
            backbones of detectors, and UPerNets as mmsegmentation names them), or that of timm, torchvision,
            transformers or keras.applications.
        adapt_stem: whether to adapt the stem to a model whose images have another number of channels. For one channel,
            the kernel is summed over its channels; for other numbers, its channels are repeated. The model's `mean` and
            `std` do not change; by default they are the averages of ImageNet's. Defaults to False.
        ema: whether to load the moving average that a training script saved beside the weights. Defaults to False.

    Returns:
        The name of the layout.

    Raises:
        ValueError: the file cannot be read, or does not fit the model; the message names everything that does not fit.
            The model is then unchanged.
        ModuleNotFoundError: safetensors is needed, or torch for a file from before torch 1.6, and is not installed.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier, load_checkpoint, save_checkpoint
    >>> path = Path(tempfile.mkdtemp()) / "convnext_atto.h5"
    >>> save_checkpoint(ConvNeXtClassifier.from_preset("convnext_atto"), path, layout="keras.applications")
    >>> load_checkpoint(ConvNeXtClassifier.from_preset("convnext_atto"), path)
    'keras.applications'
    """
    layout, notes = assign_arrays(model, path, read_arrays(path, ema), adapt_stem)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return layout


def load_published_checkpoint(model: keras.Model, checkpoint: Checkpoint, adapt_stem: bool = False) -> None:
    """Loads the weights of a published checkpoint into a model. Downloads the file if it is not in the cache.

    Args:
        model: as for `load_checkpoint`.
        checkpoint: `Checkpoint`, such as `CHECKPOINTS["convnext_tiny_1k_224_ema"]`.
        adapt_stem: as for `load_checkpoint`. Defaults to False.

    Raises:
        OSError: the download failed; the message says where to put the file by hand.
        ValueError: the file is damaged or not the published one, and was removed; or it does not fit the model.
        ModuleNotFoundError: safetensors is needed, or torch for a file from before torch 1.6, and is not installed.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.checkpoints import CHECKPOINTS, load_published_checkpoint
    >>> model = ConvNeXtClassifier.from_preset("convnext_tiny")  # doctest: +SKIP
    >>> load_published_checkpoint(model, CHECKPOINTS["convnext_tiny_1k_224_ema"])  # doctest: +SKIP
    """
    path, arrays = read_published(checkpoint)
    _, notes = assign_arrays(model, path, arrays, adapt_stem, Origin(checkpoint.name, checkpoint.license))
    for note in notes:
        warnings.warn(note, stacklevel=3)  # `from_preset` calls this function


def read_published(checkpoint: Checkpoint) -> tuple[Path, dict[str, np.ndarray]]:
    """Reads the file of a published checkpoint. Downloads it if it is not in the cache.

    Args:
        checkpoint: `Checkpoint`.

    Returns:
        `(path, arrays)`: the file in the cache, and its arrays by name.

    Raises: as `load_published_checkpoint`.

    Example:

    >>> from keras_convnext.checkpoints import CHECKPOINTS, read_published
    >>> path, arrays = read_published(CHECKPOINTS["convnext_tiny_1k_224_ema"])  # doctest: +SKIP
    """
    check_readable(Path(checkpoint.url).suffix)
    path = cached_file(checkpoint)
    try:
        return path, read_arrays(path)
    except DamagedFileError as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"{error} It was removed; download it again from {checkpoint.url}") from error


def assign_arrays(
    model: keras.Model,
    path: str | Path,
    arrays: dict[str, np.ndarray],
    adapt_stem: bool = False,
    origin: Origin | None = None,
) -> tuple[str, list[str]]:
    """Assigns the arrays of a checkpoint to a model's weights.

    Args:
        model: as for `load_checkpoint`.
        path: path of the file, for messages.
        arrays: arrays by name, as `read_arrays` returns them.
        adapt_stem: as for `load_checkpoint`.
        origin: `Origin` of the weights. Defaults to None, which is the origin that the file has.

    Returns:
        `(layout, notes)`: the name of the layout, and a list of what the user should know.

    Raises:
        ValueError: the arrays do not fit; the message names all that do not. The model is then unchanged.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier, save_checkpoint
    >>> from keras_convnext.checkpoints import assign_arrays, read_arrays
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10)
    >>> path = Path(tempfile.mkdtemp()) / "model.pth"
    >>> save_checkpoint(model, path, layout="timm")
    >>> assign_arrays(model, path, read_arrays(path))
    ('timm', [])
    """
    require_float_weights(model, "load a checkpoint into")
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    try:
        layout = find_layout(shapes, arrays, getattr(model, "head_norm_first", None))
        values, notes = merge(shapes, arrays, layout, adapt_stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    differing = "" if origin else differing_parts(model, path)
    origin = origin or origin_of(path)
    for weight in model.weights:
        if weight.path in values:
            weight.assign(values[weight.path])
    set_origin(model, origin)
    return layout.name, [f"{path}: {note}" for note in (*notes, differing, restriction(origin.license)) if note]


def save_checkpoint(model: keras.Model, path: str | Path, layout: str = "official") -> None:
    """Saves the weights of a model as a checkpoint in the layout of another package, in float32.

    The metadata of a safetensors file has the licence of the weights.

    Args:
        model: a `ConvNeXtClassifier`, `ConvNeXtBackbone` or `segmentation.UPerNet`.
        path: path of the file; an existing file is replaced, as by `model.save`. Its suffix determines the kind of
            file: `.pth`, `.pt` or `.bin` for torch, `.safetensors`, or `.h5`, which is only for the layout
            keras.applications.
        layout: `"official"` (the authors'), `"fcmae"` (their masked pre-training), `"timm"`, `"torchvision"`,
            `"transformers"`, `"dinov3"` (transformers' layout of DINOv3's ConvNeXts) or `"keras.applications"`. A
            backbone with `level_norm` is written in the authors' layout for detection, or in that of transformers'
            `ConvNextBackbone`; a `segmentation.UPerNet` in the layout of mmsegmentation (`"official"`) or of
            `UperNetForSemanticSegmentation` (`"transformers"`). Defaults to `"official"`.

    Raises:
        ValueError: the layout or suffix is unknown, the folder does not exist, or the layout has no such model.
        ModuleNotFoundError: safetensors is needed, and is not installed.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier, save_checkpoint
    >>> path = Path(tempfile.mkdtemp()) / "convnext_mini.pth"
    >>> save_checkpoint(ConvNeXtClassifier.from_preset("convnext_mini"), path, layout="timm")
    >>> path.exists()
    True
    """
    form = check_target(model, path, layout)
    parts = list(dict.fromkeys(weight.path.partition("/")[0] for weight in model.weights))

    def place(weight):  # in the source's order, on which keras.applications relies
        return parts.index(weight.path.partition("/")[0]), form.entry(weight.path).row

    arrays = {}
    for weight in sorted(model.weights, key=place):
        name, array, _ = form.entry(weight.path)
        arrays[name] = array.stored(keras.ops.convert_to_numpy(weight.value).astype("float32"))
    backbone = getattr(model, "backbone", model)
    origin = {name: getattr(backbone, name, None) for name in Origin._fields}
    write_arrays(path, arrays, form.wrapper, {name: text for name, text in origin.items() if text})


def check_target(model: keras.Model, path: str | Path, layout: str = "official") -> Layout:
    """Raises the errors that `save_checkpoint` would raise, before any work.

    Args:
        model: as for `save_checkpoint`.
        path: as for `save_checkpoint`.
        layout: as for `save_checkpoint`.

    Returns:
        The `Layout` in which the model would be saved.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.checkpoints import check_target
    >>> check_target(ConvNeXtClassifier.from_preset("convnext_mini"), "model.h5", "keras.applications").name
    'keras.applications'
    """
    check_target_path(path, layout)
    return _form(model, layout)


def check_target_path(path: str | Path, layout: str = "official") -> None:
    """Raises the errors of `save_checkpoint` that do not depend on the model, so that they come before it is loaded.

    Args:
        path: as for `save_checkpoint`.
        layout: as for `save_checkpoint`.

    Example:

    >>> from keras_convnext.checkpoints import check_target_path
    >>> check_target_path("model.h5", "keras.applications")
    """
    path = Path(path)
    if layout not in WRITTEN:
        raise ValueError(f"Unknown layout {layout!r}: expected one of {', '.join(WRITTEN)}.")
    if path.suffix not in WRITERS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(WRITERS)} (or .keras: `model.save`).")
    if (path.suffix == ".h5") != (layout == "keras.applications"):
        raise ValueError(
            f"{path}: `.h5` files are only for the layout keras.applications, which has no others; got layout {layout}."
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent}: no such folder.")
    module, _ = WRITERS[path.suffix]
    if module:
        require(module, "checkpoints")


def _form(model, name):
    """Chooses, among the tables of a layout, the one in which its source stores such a model."""
    require_float_weights(model, "write a checkpoint of")
    paths = [weight.path for weight in model.weights]
    backbone = getattr(model, "backbone", model)
    other = {key: getattr(backbone, key, plain) for key, plain in PLAIN.items()}
    if name != "timm" and other != PLAIN:
        differing = ", ".join(f"{key}={value!r}" for key, value in other.items() if value != PLAIN[key])
        raise ValueError(f"The layout {name} has no model with {differing}. layout='timm' has.")
    rows = [layout for layout in LAYOUTS if layout.name == name]
    head_norm_first = getattr(model, "head_norm_first", None)
    forms = [
        layout
        for layout in rows
        if layout.has_head_like(head_norm_first)
        and layout.stem_activation == (getattr(backbone, "stem", None) == "overlap_act")
        and all(map(layout.entry, paths))
    ]
    if not forms:
        without = [path for path in paths if not any(layout.entry(path) for layout in rows)]
        raise ValueError(f"The layout {name} has no such model: it lacks {', '.join(without) or 'this mix of parts'}.")
    if any(map(LEVEL_NORMS.match, paths)) and any(map(HEAD.match, paths)):
        raise ValueError(
            f"The layout {name} has no model with both a head and norms of pyramid levels: save the model's `backbone`."
        )
    conv_mlp = _conv_mlp(backbone, head_norm_first)
    if name in ALWAYS_SCALED and not any("/layer_scale/" in path for path in paths):
        raise ValueError(
            f"The layout {name} has a layer scale in each block, and this model has none. If `fuse` returned it, save "
            "the model that was fused."
        )
    return next((form for form in forms if form.conv_mlp == conv_mlp), forms[0])


def _conv_mlp(backbone, head_norm_first):
    """Whether timm stores the pointwise layers of this architecture as 1x1 convolutions."""
    architecture = {name: getattr(backbone, name) for name in ("depths", "dims", "use_grn")}
    variant = match({**architecture, "head_norm_first": bool(head_norm_first)})
    return variant is not None and VARIANTS[variant].conv_mlp
