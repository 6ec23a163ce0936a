"""Loading and saving the weights of a model in the layouts of other packages."""

import warnings
from pathlib import Path

import keras

from keras_convnext.checkpoints.download import cached_file
from keras_convnext.checkpoints.errors import DamagedFileError
from keras_convnext.checkpoints.files import WRITERS, check_readable, read_arrays, write_arrays
from keras_convnext.checkpoints.layouts import LAYOUTS
from keras_convnext.checkpoints.merge import HEAD, LEVEL_NORMS, find_layout, merge
from keras_convnext.checkpoints.origin import Origin, origin_of, restriction, set_origin
from keras_convnext.checkpoints.parts import differing_parts
from keras_convnext.checkpoints.usual_weights import require_usual_weights
from keras_convnext.extras import require
from keras_convnext.variants import VARIANTS

WRITTEN = tuple(dict.fromkeys(layout.name for layout in LAYOUTS if layout.name != "keras_convnext"))
"""The layouts that `save_checkpoint` writes; `model.save` writes the other."""

PLAIN = {"norm": "layer_norm", "hidden_activation": "gelu", "conv_bias": True}
"""What the models of all sources but timm have."""

ALWAYS_SCALED = ("torchvision", "dinov3", "keras.applications")
"""The sources that have no block without layer scale."""


def load_checkpoint(model, path, adapt_stem=False, ema=False):
    """Loads weights that this package or another one saved into a model.

    What the file is and how it names the weights is seen from what is in it. Each weight of the model gets its value,
    and each array of the file its place; otherwise the model stays as it was. Of a file with another number of classes
    all but the last layer is loaded, of one without a head all but the head; a warning says so. A model without a last
    layer leaves the file's out. So is what a training script saved beside the weights, such as an optimizer.

    Where the origin of the weights is known, a preset or a licence, the model keeps it in its configuration; a licence
    that restricts their use is shown in a warning.

    Args:
        model: a `ConvNeXtClassifier` or `ConvNeXtBackbone`.
        path: of a file of torch (`.pth`; nothing in its pickle is run), safetensors, Keras (`.keras`) or
            keras.applications (`.h5`). The names may be the authors' for V1, V2, isotropic models, masked pre-training
            and detectors' backbones, or those of timm, torchvision, transformers or keras.applications.
        adapt_stem: bool, whether to fit the stem to a model whose images have another number of channels: for one, the
            kernel's channels are added up, for others they are repeated. What images are normalized with is the
            model's own affair: by default the averages of ImageNet's. Defaults to False.
        ema: bool, whether to load the moving average that a training script saved beside the weights. Defaults to
            False.

    Returns:
        str, the layout that was found.

    Raises:
        ValueError: a file that cannot be read, or does not fit; all misfits are named. The model is as it was.
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
    layout, notes = load_arrays(model, path, read_arrays(path, ema), adapt_stem)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return layout


def load_published(model, checkpoint, adapt_stem=False):
    """Loads the weights of a published checkpoint into a model. They are downloaded where they are not in the cache.

    Args:
        model, adapt_stem: as for `load_checkpoint`.
        checkpoint: `Checkpoint`, such as `CHECKPOINTS["convnext_tiny_1k_224_ema"]`.

    Raises:
        OSError: the download failed; the message has the place to put the file by hand.
        ValueError: a file that is damaged, or not the published one (it is removed), or does not fit the model.
        ModuleNotFoundError: safetensors is needed, or torch for a file from before torch 1.6, and is not installed.
    """
    path, arrays = published_arrays(checkpoint)
    _, notes = load_arrays(model, path, arrays, adapt_stem, Origin(checkpoint.name, checkpoint.license))
    for note in notes:
        warnings.warn(note, stacklevel=3)  # `from_preset` stands between


def published_arrays(checkpoint):
    """The file of a published checkpoint, downloaded where it is not in the cache, and the arrays in it.

    Args:
        checkpoint: `Checkpoint`.

    Returns:
        `(path, arrays)`.

    Raises: as `load_published`.
    """
    check_readable(Path(checkpoint.url).suffix)
    path = cached_file(checkpoint)
    try:
        return path, read_arrays(path)
    except DamagedFileError as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"{error} It was removed; it is to be had from {checkpoint.url}") from error


def load_arrays(model, path, arrays, adapt_stem=False, origin=None):
    """Loads the arrays of a file into a model.

    Args:
        model, adapt_stem: as for `load_checkpoint`.
        path: of the file, for messages.
        arrays: dict of arrays by name, as `read_arrays` returns it.
        origin: `Origin` of the weights. Defaults to what is known of the file.

    Returns:
        `(layout, notes)`: the name of the layout that was found, and a list of what the user should know.

    Raises:
        ValueError: the arrays do not fit; all misfits are named. The model is as it was.
    """
    require_usual_weights(model, "load a checkpoint into")
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


def save_checkpoint(model, path, layout="official"):
    """Saves the weights of a model as another package names and stores them, in float32.

    A safetensors file keeps the weights' licence in its metadata.

    Args:
        model: a `ConvNeXtClassifier` or `ConvNeXtBackbone`.
        path: of the file, which is replaced if it is there. Its suffix says what it is: `.pth`, `.pt` or `.bin` for
            torch, `.safetensors`, or, for keras.applications alone, `.h5`.
        layout: `"official"` (the authors'), `"fcmae"` (their masked pre-training), `"timm"`, `"torchvision"`,
            `"transformers"`, `"dinov3"` (transformers' for DINOv3's ConvNeXts) or `"keras.applications"`. A backbone
            with `level_norm` is written as the authors' for detection, or transformers' `ConvNextBackbone`. Defaults to
            `"official"`.

    Raises:
        ValueError: an unknown layout or suffix, no such folder, or a model that the layout's source does not have.
        ModuleNotFoundError: safetensors is needed, and not installed.

    Example: see `load_checkpoint`.
    """
    form = check_target(model, path, layout)
    parts = list(dict.fromkeys(weight.path.partition("/")[0] for weight in model.weights))

    def place(weight):  # in the source's order, which keras.applications goes by
        return parts.index(weight.path.partition("/")[0]), form.entry(weight.path).row

    arrays = {}
    for weight in sorted(model.weights, key=place):
        name, array, _ = form.entry(weight.path)
        arrays[name] = array.stored(keras.ops.convert_to_numpy(weight.value).astype("float32"))
    backbone = getattr(model, "backbone", model)
    origin = {name: getattr(backbone, name, None) for name in Origin._fields}
    write_arrays(path, arrays, layout in ("official", "fcmae"), {name: text for name, text in origin.items() if text})


def check_target(model, path, layout="official"):
    """Raises what `save_checkpoint` would, before any work.

    Args:
        model, path, layout: as for `save_checkpoint`.

    Returns:
        `Layout`, the form of the layout in which the model would be saved.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.checkpoints import check_target
    >>> check_target(ConvNeXtClassifier.from_preset("convnext_mini"), "model.h5", "keras.applications").name
    'keras.applications'
    """
    path = Path(path)
    if layout not in WRITTEN:
        raise ValueError(f"Unknown layout {layout!r}: expected one of {', '.join(WRITTEN)}.")
    if path.suffix not in WRITERS:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(WRITERS)} (or .keras: `model.save`).")
    if (path.suffix == ".h5") != (layout == "keras.applications"):
        raise ValueError(f"{path}: `.h5` files are for the layout keras.applications, and it for them; got {layout}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent}: no such folder.")
    module, _ = WRITERS[path.suffix]
    if module:
        require(module, "checkpoints")
    return _form(model, layout)


def _form(model, name):
    """Of the forms of a layout, the one in which its source has a model like this."""
    require_usual_weights(model, "write a checkpoint of")
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
    """Whether timm has the variant of this architecture with pointwise layers as convolutions."""
    architecture = tuple(backbone.depths), tuple(backbone.dims), backbone.use_grn, bool(head_norm_first)
    return any(
        variant.conv_mlp and (variant.depths, variant.dims, variant.use_grn, variant.head_norm_first) == architecture
        for variant in VARIANTS.values()
    )
