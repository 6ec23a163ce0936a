"""Exporting models for other runtimes: ONNX, LiteRT, OpenVINO, SavedModel and `torch.export`.

`export` writes a file, checks it in its runtime, and moves it to its place. `FORMATS` says which backend writes which
format.
"""

from keras_convnext.export.check import ExportError
from keras_convnext.export.export_model import Exported, export, prepare_export
from keras_convnext.export.formats import FORMATS
from keras_convnext.export.metadata import read_metadata

__all__ = ["FORMATS", "ExportError", "Exported", "export", "prepare_export", "read_metadata"]
