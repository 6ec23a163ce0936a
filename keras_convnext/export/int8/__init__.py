"""Exported models in int8: static quantization after training, with calibration images.

`quantize` writes an int8 file from an exported float32 file, and keeps it if it gives the same classes. `compare`
measures any two files on other images, such as the test images. `QUANTIZERS` says which formats can be quantized, and
`WEIGHT_ONLY_FORMATS` which formats Keras's own weight-only quantization can be exported to. No function here depends on
Keras's backend, except `compare_weight_only`, which runs Keras models.
"""

from keras_convnext.export.int8.measure import compare
from keras_convnext.export.int8.quantization import LEAST_AGREEMENT, quantize
from keras_convnext.export.int8.quantizers import QUANTIZERS
from keras_convnext.export.int8.report import Int8Report
from keras_convnext.export.int8.weight_only import WeightOnlyReport, compare_weight_only
from keras_convnext.export.int8.weight_only_formats import WEIGHT_ONLY_FORMATS, check_weight_only

__all__ = [
    "LEAST_AGREEMENT",
    "QUANTIZERS",
    "WEIGHT_ONLY_FORMATS",
    "Int8Report",
    "WeightOnlyReport",
    "check_weight_only",
    "compare",
    "compare_weight_only",
    "quantize",
]
