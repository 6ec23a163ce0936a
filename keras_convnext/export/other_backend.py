"""Exporting in a process of another backend, which writes formats that the running one does not write."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_convnext.export.check import ExportError
from keras_convnext.processes import python_command

MODEL, SETTINGS, RESULT = "model.keras", "settings.json", "result.json"
"""The files by which the two processes talk."""


def export_elsewhere(
    backend: str, model: keras.Model, path: Path, settings: dict[str, Any], metadata: dict[str, Any]
) -> tuple[float, float]:
    """Saves a model, and has it written and checked by a process of another backend.

    Args:
        backend: the backend of the process.
        model: the model.
        path: where to write.
        settings: `format`, `dtype` and `options`, as for `export.write_and_check`.
        metadata: what is stored in the file.

    Returns:
        The largest difference, and the tolerance.

    Raises:
        ExportError: the export failed there.
    """
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, MODEL))
        Path(folder, SETTINGS).write_text(json.dumps({**settings, "path": str(path), "metadata": metadata}))
        process = subprocess.run(
            python_command("keras_convnext.export.other_backend:serve", folder),
            # PyTorch exports on the CPU. On a GPU, little memory may be left beside this process.
            env={**os.environ, "KERAS_BACKEND": backend, "KERAS_TORCH_DEVICE": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        result = Path(folder, RESULT)
        if not result.exists():
            last = process.stderr.strip().splitlines()[-1:] or [f"it ended with code {process.returncode}"]
            raise ExportError(f"The export on {backend} failed: {last[0]}")
        found = json.loads(result.read_text())
    if "error" in found:
        raise ExportError(found["error"])
    return found["difference"], found["tolerance"]


def serve(folder: str) -> None:
    """Exports what a folder describes, and writes the result there."""
    from keras_convnext.export.deployed import unknown_class
    from keras_convnext.export.formats import FORMATS
    from keras_convnext.export.write_and_check import prepare_models, write_and_check
    from keras_convnext.models.load import load_keras_file
    from keras_convnext.preprocessing import ResizeAndCrop

    settings = json.loads(Path(folder, SETTINGS).read_text())
    options = settings["options"]
    options["preprocess"] = ResizeAndCrop(**options["preprocess"]) if options["preprocess"] else None
    options["image_size"] = tuple(options["image_size"]) if options["image_size"] else None
    try:
        model = load_keras_file(Path(folder, MODEL))
    except ValueError as error:
        message = (
            f"A process of {keras.config.backend()}, which writes this format, cannot load the model: "
            f"{unknown_class(error)}. It does not know classes of your own: export with "
            f"KERAS_BACKEND={keras.config.backend()} in the environment."
        )
        Path(folder, RESULT).write_text(json.dumps({"error": message}))
        return
    format, dtype = FORMATS[settings["format"]], settings["dtype"]
    try:
        difference, tolerance = write_and_check(
            *prepare_models(model, format, dtype, options),
            Path(settings["path"]),
            format,
            dtype,
            options,
            settings["metadata"],
        )
    except (ExportError, ValueError) as error:
        result = {"error": str(error)}
    else:
        result = {"difference": difference, "tolerance": tolerance}
    Path(folder, RESULT).write_text(json.dumps(result))
