"""Writing one file with the running backend, and comparing it with the Keras model."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from keras_convnext.checkpoints.float_weights import has_lora, is_quantized, layers_that
from keras_convnext.export.check import ROUNDING, TOLERANCES, check_batches, check_file
from keras_convnext.export.deployed import deployed_model, prepared_model
from keras_convnext.export.files import as_export_errors
from keras_convnext.export.formats import Format
from keras_convnext.export.quiet import quiet
from keras_convnext.export.runtimes import RUNTIMES, failures

STORED_IN_FLOAT16 = ("openvino", "litert")
"""The formats whose runtimes take float32 programs with weights in float16, and choose the precision themselves."""


def has_float_weights(model: keras.Model) -> bool:
    """Whether no layer of a model is quantized or has LoRA."""
    return not (layers_that(is_quantized, model) or layers_that(has_lora, model))


def prepared_for(model: keras.Model, format: Format, dtype: str) -> keras.Model:
    """The copy of a model that is written: with its layer scales folded, in the precision in which the file computes.

    Args:
        model: the model.
        format: the format of the file.
        dtype: as for `export`.
    """
    if not has_float_weights(model):
        return model
    return prepared_model(model, "float32" if format.name in STORED_IN_FLOAT16 else dtype)


def write_and_check(
    prepared: keras.Model,
    reference: keras.Model,
    path: Path,
    format: Format,
    dtype: str,
    options: dict[str, Any],
    metadata: dict[str, Any],
) -> tuple[float, float]:
    """Writes a file by the running backend, and compares it with the model.

    Args:
        prepared: what `prepared_for` made of the model.
        reference: what `deployed_model` made of the model.
        path: where to write.
        format: a format that the running backend writes.
        dtype: as for `export`.
        options: arguments of `deployed_model`.
        metadata: what is stored in the file.

    Returns:
        The largest difference, and the tolerance.

    Raises:
        ExportError: as for `export`.
    """
    stores = dtype == "float16" and format.name in STORED_IN_FLOAT16
    deployed = deployed_model(prepared, **options)
    programs = _programs()
    write = programs.WRITERS[format.name]
    with as_export_errors(f"{format.title}'s converter failed", (*programs.FAILURES, *failures(format.name))):
        write(deployed, str(path), metadata, **({"float16_weights": True} if stores else {}))
    image = reference.inputs[0]
    size = options["image_size"]
    if metadata["preprocessing"] and not metadata["in_graph"]:
        size = metadata["preprocessing"]["height"], metadata["preprocessing"]["width"]
    batches = check_batches(
        tuple(image.shape),
        keras.backend.standardize_dtype(image.dtype),
        metadata["input"]["layout"] == "NCHW",
        size,
    )

    def run_model(images):
        with quiet():
            outputs = reference(keras.ops.convert_to_tensor(images), training=False)
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in outputs.items()}

    with as_export_errors("The Keras model does not run on the images of the check", programs.FAILURES):
        expected = [run_model(images) for images in batches]
    tolerance = max(TOLERANCES[dtype], ROUNDING if options["preprocess"] else 0.0)
    with as_export_errors(f"{format.title}'s runtime does not run the file", failures(format.name)):
        run = RUNTIMES[format.name](path)
        difference = check_file(run, batches, expected, tolerance)
    return difference, tolerance


def _programs() -> ModuleType:
    """The module with which the running backend writes files."""
    return importlib.import_module(f"keras_convnext.export.{keras.backend.backend()}_programs")
