"""Writing one file with the running backend, and comparing it with the Keras model."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from keras_convnext.checkpoints.float_weights import has_lora, is_quantized, layers_that
from keras_convnext.export.check import ROUNDING, TOLERANCES, check_batches, check_file
from keras_convnext.export.deployed import deployed_model, float32_copy, is_mixed, prepared_model
from keras_convnext.export.files import as_export_errors
from keras_convnext.export.formats import Format
from keras_convnext.export.quiet import quiet
from keras_convnext.export.runtimes import RUNTIMES, failures

STORED_IN_FLOAT16 = ("openvino", "litert")
"""The formats whose runtimes take float32 programs with weights in float16, and choose the precision themselves."""


def _has_float_weights(model: keras.Model) -> bool:
    """Whether no layer of a model is quantized or has LoRA."""
    return not (layers_that(is_quantized, model) or layers_that(has_lora, model))


def prepare_models(
    model: keras.Model, format: Format, dtype: str, options: dict[str, Any]
) -> tuple[keras.Model, keras.Model]:
    """Makes the two models of which `write_and_check` writes one, and with which it compares the file.

    Args:
        model: the model.
        format: a format that the running backend writes.
        dtype: as for `export`.
        options: arguments of `deployed_model`.

    Returns:
        The model that is written, with its layer scales folded and in the precision in which the file computes; and the
        model to compare it with, from images to named outputs in float32.

    Raises:
        ValueError: the model cannot be copied.
    """
    programs = _programs()
    with programs.exactly():
        exact = programs.runs_exactly(model)
        if not _has_float_weights(model):
            if not exact:
                raise ValueError(
                    "A model with quantized layers or LoRA is exported from the CPU only. Load it with "
                    "KERAS_TORCH_DEVICE=cpu in the environment."
                )
            return (deployed_model(model, **options),) * 2
        if is_mixed(model) or not exact:
            model = float32_copy(model)
        prepared = prepared_model(model, "float32" if format.name in STORED_IN_FLOAT16 else dtype)
        return deployed_model(prepared, **options), deployed_model(model, **options)


def write_and_check(
    written: keras.Model,
    reference: keras.Model,
    path: Path,
    format: Format,
    dtype: str,
    options: dict[str, Any],
    metadata: dict[str, Any],
) -> tuple[float, float]:
    """Writes a file by the running backend, and compares it with the model.

    Args:
        written: the first of `prepare_models`.
        reference: the second.
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
    programs = _programs()
    write = programs.WRITERS[format.name]
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
    tolerance = max(TOLERANCES[dtype], ROUNDING if options["preprocess"] else 0.0)

    def run_model(images):
        with quiet():
            outputs = reference(keras.ops.convert_to_tensor(images), training=False)
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in outputs.items()}

    with programs.exactly():
        with as_export_errors(f"{format.title}'s converter failed", (*programs.FAILURES, *failures(format.name))):
            write(written, str(path), metadata, **({"float16_weights": True} if stores else {}))
        with as_export_errors("The Keras model does not run on the images of the check", programs.FAILURES):
            expected = [run_model(images) for images in batches]
        with as_export_errors(f"{format.title}'s runtime does not run the file", failures(format.name)):
            run = RUNTIMES[format.name](path)
            difference = check_file(run, batches, expected, tolerance)
    return difference, tolerance


def _programs() -> ModuleType:
    """The module with which the running backend writes files."""
    return importlib.import_module(f"keras_convnext.export.{keras.backend.backend()}_programs")
