"""Exported models in their runtimes, on the CPU: ours as `export` writes them, and timm's as its own tools write them.

Both sides take the same number of threads, and their runtimes' defaults otherwise. After a call, the threads of a
runtime wait actively for the next one: up to 60 ms in ONNX Runtime, 20 ms in OpenVINO and torch. That may disturb the
process whose turn is next, but not its median: the first step of a turn does not count, and a turn of short steps has
many of them. The setting that switches this off would slow down the steps themselves.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_convnext.benchmarking.case import Case
from keras_convnext.export import FORMATS, export
from keras_convnext.export.formats import ONNX_OPSET
from keras_convnext.export.runtimes import RUNTIMES as LOADERS
from keras_convnext.extras import require


@dataclass(frozen=True)
class Runtime:
    """A row of `RUNTIMES`.

    Attributes:
        format: the format that the runtime reads, a key of `export.FORMATS`.
        write_torch: writes a module of torch, given an example of its input and a path. None if torch needs a package
            for it that is not among this package's extras.
    """

    format: str
    write_torch: Callable | None


def _write_onnx(module, example, path):
    import torch

    program = torch.onnx.export(
        module, (example,), dynamo=True, opset_version=ONNX_OPSET, external_data=False, verbose=False
    )
    program.save(path)


def _write_openvino(module, example, path):
    """By way of ONNX: timm's models are then faster than if the program of `torch.export` is converted."""
    openvino = require("openvino", extra="export")
    file = path.with_suffix(".onnx")
    _write_onnx(module, example, file)
    openvino.save_model(openvino.convert_model(file), path, compress_to_fp16=False)


RUNTIMES = {
    "onnxruntime": Runtime("onnx", _write_onnx),
    "openvino": Runtime("openvino", _write_openvino),
    "litert": Runtime("litert", None),
}
"""The runtimes by the name of the form that is timed in them."""

PEER = "timm"
"""The package whose exported models are timed beside ours."""


def runtime_of(case: Case) -> str:
    """The runtime that computes a case; empty if its package does."""
    return case.form if case.form in RUNTIMES else ""


def our_runtime_step(case: Case, model: keras.Model, images: np.ndarray) -> Callable:
    """Returns a step of a case in its runtime: our model as `export` writes it, from the running backend if it can.

    The weights are changed at random: converters leave out products by one and sums with zero, which a trained model
    does not have.

    Args:
        case: a case whose form is in `RUNTIMES`.
        model: the model.
        images: of the model's layout.

    Raises:
        ExportError: the export failed.
        ModuleNotFoundError: no backend that writes the format, or not the runtime, is installed.
    """
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign_add(_noise(rng, weight.shape))
    return _step(case, images, lambda path: export(model, path, batch_size=case.batch, image_size=case.size))


def torch_runtime_step(case: Case, module: Any, images: np.ndarray) -> Callable:
    """Returns a step of a case in its runtime: a `torch.nn.Module`, written by the tools of torch or of the runtime.

    Its weights are changed at random, as ours are.

    Args:
        case: a case whose form is in `RUNTIMES`.
        module: the module.
        images: an array in NCHW.

    Raises:
        ValueError: torch does not write the format of this runtime.
        ModuleNotFoundError: the runtime is not installed.
    """
    import torch

    write = RUNTIMES[case.form].write_torch
    if write is None:
        raise ValueError(f"{case.package} has no export to {case.form} without a further package.")
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.from_numpy(_noise(rng, weight.shape)))
        return _step(case, images, lambda path: write(module.eval(), torch.from_numpy(images), path))


def _step(case, images, write):
    """Writes a file, and loads it into the runtime, which then needs it no more."""
    format = RUNTIMES[case.form].format
    # Windows keeps files that are mapped into memory.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, f"model{FORMATS[format].suffix}")
        write(path)
        run = LOADERS[format](path, threads=_cores())
    return lambda: run(images)


def _noise(rng, shape):
    return rng.normal(0.0, 0.01, tuple(shape)).astype("float32")


def _cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
