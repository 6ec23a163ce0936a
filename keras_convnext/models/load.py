"""Loading a model: by the name of published weights, from a file of weights, or from a run folder."""

import json
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras

from keras_convnext.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    assign_arrays,
    find_preset,
    has_level_norms,
    identify,
    is_keras,
    origin_of,
    patchify_stem_of,
    read_arrays,
    read_published,
    restriction,
    segmenter_arguments,
    with_keras_suffix,
)
from keras_convnext.checkpoints.catalog import is_path
from keras_convnext.extras import require
from keras_convnext.models.backbone import ConvNeXtBackbone
from keras_convnext.models.classifier import ConvNeXtClassifier
from keras_convnext.models.head_precision import made_in_float32, set_head_precision
from keras_convnext.models.run_folder import MODEL, is_run, read_run_config, run_of
from keras_convnext.models.variant import variant_of
from keras_convnext.variants import get_variant

UPERNET = "keras_convnext>UPerNet"
"""The name under which Keras finds `segmentation.UPerNet`, whose room builds on this one and is not imported here."""

OURS = (*map(keras.saving.get_registered_name, (ConvNeXtClassifier, ConvNeXtBackbone)), UPERNET)
OF_A_RUN = (*OURS, "Functional")
"""What `fit` trains. This includes plain functional models, such as those of the roadmap."""

LIBRARIES = {"keras_cv": "cv", "keras_hub": "hub"}
"""The packages whose detectors are loaded too, and the extras that bring them."""


@dataclass(frozen=True)
class ModelSource:
    """What a name stands for: a file, or a preset.

    Attributes:
        path: the file of the model; for a run folder, the file of its best epoch. None for a preset.
        run: the run folder that was named, or that contains the file; otherwise None.
        variant: the preset's variant; None for a file.
        checkpoint: the preset's `Checkpoint`; None for a file, and for a variant.

    Example:

    >>> from keras_convnext.models import find_model
    >>> source = find_model("convnext_tiny_1k_224_ema")
    >>> source.path is None, source.checkpoint.top1
    (True, 82.1)
    """

    path: Path | None = None
    run: Path | None = None
    variant: str | None = None
    checkpoint: Checkpoint | None = None


class LoadedModel(NamedTuple):
    """A model, and the facts found while loading it.

    Attributes:
        model: a `ConvNeXtClassifier`, `ConvNeXtBackbone` or `segmentation.UPerNet`; from a run folder, any functional
            model that was trained.
        layout: how its source names the weights.
        variant: a name in `VARIANTS`; None for a `.keras` model whose architecture is not a variant.
        notes: what the user should know, such as a licence that restricts the use of the weights.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import load_model_and_facts
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10).save(path)
    >>> load_model_and_facts(path).variant
    'convnext_mini'
    """

    model: keras.Model
    layout: str
    variant: str | None
    notes: tuple[str, ...]


def find_model(source: str | Path) -> ModelSource:
    """Finds what a name stands for, and loads nothing. A file or a run folder precedes a preset of the same name.

    Args:
        source: the name of a preset, the path of a file of weights, or that of a run folder.

    Raises:
        ValueError: nothing has this name, or it is a folder but not a run folder.

    Example:

    >>> from keras_convnext.models import find_model
    >>> find_model("convnext_tiny_1k_224_ema").variant
    'convnext_tiny'
    """
    path = Path(source)
    if str(source) and path.is_dir():
        if is_run(path) or not _is_preset(source):
            read_run_config(path)  # raises with what is wrong
            return ModelSource(path / MODEL, path)
    elif path.is_file():
        return ModelSource(path, run_of(path))
    elif is_path(source):
        raise ValueError(f"No such file or folder: {source}")
    try:
        variant, checkpoint = find_preset(str(source))
    except ValueError as error:
        raise ValueError(f"No such file or folder, and no such preset: {source or repr(source)}. {error}") from error
    return ModelSource(variant=variant, checkpoint=checkpoint)


def load_model(
    source: str | Path, variant: str | None = None, ema: bool = False, data_format: str | None = None
) -> keras.Model:
    """Loads a model with its weights from a preset, a file of weights or a run folder, on any backend.

    Args:
        source: the name of published weights, which are downloaded if they are not in the cache; the path of a file of
            weights, which is a `.keras` file or any file that `load_checkpoint` reads; or the path of a run folder, of
            which the model of the best epoch is loaded.
        variant: a name in `VARIANTS`, in place of the one that is identified in a file of weights. Defaults to None.
        ema: whether to load the moving average that a training script saved beside the weights. Defaults to False.
        data_format: as for `ConvNeXtBackbone`. It does not apply to `.keras` files, which hold their own. Defaults to
            None, which is Keras's setting.

    Returns:
        A `ConvNeXtClassifier`, a `ConvNeXtBackbone` if there is no head, or a `segmentation.UPerNet`. From a `.keras`
        file it is compiled as it was saved, or it is a detector of keras-cv or keras-hub, not compiled. From a run
        folder it may be another functional model, such as a step of the roadmap.

    Raises:
        ValueError: nothing has this name, the preset is a variant without weights, or the file is truncated, damaged or
            of another kind of model.
        OSError: a download failed.

    Warns:
        UserWarning: the licence restricts the use of the weights, or a part of a file was left out.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import load_model
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10).save(path)
    >>> load_model(path).num_classes
    10
    """
    loaded = load_model_and_facts(source, variant, ema, data_format)
    for note in loaded.notes:
        warnings.warn(note, stacklevel=2)
    return loaded.model


def load_model_and_facts(
    source: str | Path, variant: str | None = None, ema: bool = False, data_format: str | None = None
) -> LoadedModel:
    """Like `load_model`, but returns the facts found while loading instead of warning about them.

    Args:
        source: as for `load_model`.
        variant: as for `load_model`.
        ema: as for `load_model`.
        data_format: as for `load_model`.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import load_model_and_facts
    >>> path = Path(tempfile.mkdtemp()) / "model.keras"
    >>> ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10).save(path)
    >>> model, layout, variant, notes = load_model_and_facts(path)
    >>> layout, variant, notes
    ('keras_convnext', 'convnext_mini', ())
    """
    if variant:
        get_variant(variant)
    found = find_model(source)
    if found.path is None:
        return _published(source, found, variant, ema, data_format)
    path = found.path
    if not (is_keras(path) or path.suffix == ".keras"):
        return _from_arrays(path, read_arrays(path, ema), variant, data_format)
    if variant:
        raise ValueError(
            "`variant` cannot be given for a .keras file, which already has its architecture. Received: "
            f"variant={variant!r} for {path}. Leave it out."
        )
    if ema:
        raise ValueError(
            f"`ema` applies to training checkpoints (.pth), not to .keras files. Received: ema=True for {path}."
        )
    model = load_keras_file(path, OF_A_RUN if found.run else OURS)
    restricted = restriction(getattr(getattr(model, "backbone", model), "license", None))
    return LoadedModel(model, "keras_convnext", variant_of(model), (f"{path}: {restricted}",) if restricted else ())


def _published(source, found, variant, ema, data_format):
    if found.checkpoint is None:
        raise ValueError(
            f"{source} is an architecture without weights. Use ConvNeXtClassifier.from_preset, or name a checkpoint "
            "from list_presets()."
        )
    if variant:
        raise ValueError(
            "`variant` cannot be given for a published checkpoint, which determines it. Received: "
            f"variant={variant!r} for {source}. Leave it out."
        )
    if ema:
        raise ValueError(
            f"`ema` applies to training checkpoints (.pth), not to published ones. Received: ema=True for {source}."
        )
    path, arrays = read_published(found.checkpoint)
    return _from_arrays(path, arrays, None, data_format, found.checkpoint)


def _from_arrays(path, arrays, variant, data_format, checkpoint=None):
    """Makes the model of a file's arrays. A published checkpoint also determines its mean and standard deviation."""
    try:
        identified, classes = identify(arrays)
        segmenter = segmenter_arguments(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    variant = variant or identified
    checkpoint = checkpoint or CHECKPOINTS.get(origin_of(path).preset)
    options = {"mean": checkpoint.mean, "std": checkpoint.std} if checkpoint else {}
    options |= {"data_format": data_format, **_stem_arguments(arrays, variant, data_format)}
    if segmenter is not None:
        model = keras.saving.get_registered_object(UPERNET).from_preset(variant, **segmenter, **options)
    elif classes is None:
        model = ConvNeXtBackbone.from_preset(variant, level_norm=has_level_norms(arrays), **options)
    else:
        model = ConvNeXtClassifier.from_preset(variant, num_classes=classes, **options)
    layout, notes = assign_arrays(model, path, arrays)
    return LoadedModel(model, layout, variant, tuple(notes))


def _stem_arguments(arrays, variant, data_format):
    """The arguments with which a variant has the stem of a file's arrays, for images of as many channels."""
    found = patchify_stem_of(arrays)
    if found is None or get_variant(variant).stem != "patchify":
        return {}
    patch_size, channels = found
    channels_first = (data_format or keras.config.image_data_format()) == "channels_first"
    shape = (channels, None, None) if channels_first else (None, None, channels)
    return {"stem_patch_size": patch_size, "input_shape": shape}


def load_keras_file(path: Path, kinds: Sequence[str] | None = None) -> keras.Model:
    """Loads the model of a `.keras` file, or a detector of keras-cv or keras-hub, which is not compiled.

    Args:
        path: the file.
        kinds: the registered names of the other classes that it may have. Defaults to None, for any.

    Raises:
        ValueError: no such file, a damaged one, or a model of another class.
    """
    if not path.is_file():
        raise ValueError(f"No such file or folder: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path}: not a .keras file, or one that is cut off or damaged ({error}).") from error
    if damaged:
        raise ValueError(f"{path}: the archive member {damaged} is corrupt. Copy or download the file again.")
    kind = isinstance(config, dict) and (config.get("registered_name") or config.get("class_name"))
    library = kind.partition(">")[0].partition(".")[0] if isinstance(kind, str) else ""
    if library in LIBRARIES:
        require(library, extra=LIBRARIES[library])  # registers its classes with Keras
    elif kinds is not None and kind not in kinds:
        *others, last = (one.rpartition(">")[2] for one in kinds)
        raise ValueError(f"{path}: expected a {', '.join(others)} or {last}, got {kind}.")
    try:
        with with_keras_suffix(path) as called:
            if library not in LIBRARIES:
                return keras.saving.load_model(called)
            # Keras cannot restore how a detector was compiled, whose class has its own `compile`
            with made_in_float32():
                return set_head_precision(keras.saving.load_model(called, compile=False))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{path}: the weights or configuration do not match the model class ({error}).") from error


def _is_preset(name):
    try:
        find_preset(str(name))
    except ValueError:
        return False
    return True
