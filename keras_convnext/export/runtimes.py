"""Running an exported file in its runtime, on the CPU and in float32."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_convnext.extras import require

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""From images to the outputs by name."""


def onnx(path: str | Path, threads: int | None = None) -> Run:
    """ONNX Runtime."""
    onnxruntime = require("onnxruntime", extra="export")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (image,) = session.get_inputs()
    return lambda images: dict(zip(names, session.run(names, {image.name: images}), strict=True))


def openvino(path: str | Path, threads: int | None = None) -> Run:
    """OpenVINO. Without the hint it computes in bfloat16 on processors that have it."""
    core = require("openvino", extra="export").Core()
    settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)
    request = compiled.create_infer_request()

    def run(images):
        results = request.infer([images], share_inputs=True)
        return {output.get_any_name(): np.array(results[output]) for output in compiled.outputs}

    return run


def litert(path: str | Path, threads: int | None = None) -> Run:
    """LiteRT. Its interpreter is prepared again for each new shape."""
    litert = require("ai_edge_litert.interpreter", extra="export")
    interpreter = litert.Interpreter(str(path), num_threads=threads)
    (signature,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    return lambda images: runner(**{next(iter(runner.get_input_details())): images})


def torch(path: str | Path, threads: int | None = None) -> Run:
    """The program of `torch.export`."""
    import torch

    module = torch.export.load(str(path)).module()

    def run(images):
        with torch.no_grad():
            outputs = module(torch.from_numpy(images))
        outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return run


def tf_saved_model(path: str | Path, threads: int | None = None) -> Run:
    """The endpoint `serve` of a SavedModel."""
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))

    def run(images):
        return {name: tensor.numpy() for name, tensor in loaded.serve(tensorflow.constant(images)).items()}

    return run


RUNTIMES: dict[str, Callable[..., Run]] = {
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
    "torch": torch,
    "tf_saved_model": tf_saved_model,
}
"""The function that loads a file into its runtime, by format."""


def failures(format: str) -> tuple[type[Exception], ...]:
    """What a runtime, or its converter, raises besides Python's own types of errors.

    Args:
        format: a key of `RUNTIMES`.
    """
    if format == "onnx":
        state = require("onnxruntime.capi.onnxruntime_pybind11_state", extra="export")
        return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    if format == "openvino":
        frontend = require("openvino.frontend", extra="export")
        return tuple(kind for kind in vars(frontend).values() if isinstance(kind, type) and issubclass(kind, Exception))
    if format == "tf_saved_model":
        import tensorflow

        return (tensorflow.errors.OpError,)
    return ()
