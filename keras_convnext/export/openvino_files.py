"""Writing OpenVINO's files from the model that its converter returns."""

import json
from typing import Any

from keras_convnext.export.deployed import INPUT
from keras_convnext.export.metadata import KEY
from keras_convnext.extras import require


def save(model: Any, path: str, outputs: list[str], metadata: dict, float16_weights: bool) -> None:
    """Names the input and the outputs, adds the metadata, and writes the `.xml` and the `.bin` file.

    Args:
        model: `openvino.Model`.
        path: path of the `.xml` file.
        outputs: names of the outputs in their order.
        metadata: what is written as JSON.
        float16_weights: whether weights are stored in float16.
    """
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(json.dumps(metadata), KEY)
    require("openvino", extra="export").save_model(model, path, compress_to_fp16=float16_weights)
