"""Quantized models, and models with LoRA, are refused by what needs float weights."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.models import transfer

pytestmark = pytest.mark.once


def make(**changes):
    backbone = ConvNeXtBackbone((1, 1), (8, 16), kernel_size=3, input_shape=(16, 16, 3), **changes)
    return ConvNeXtClassifier(backbone, 5, head_hidden_size=12)


def modes_of(model):
    return [layer.quantization_mode for layer in model._flatten_layers() if layer.quantization_mode]


def add_lora(model):
    for layer in model._flatten_layers():
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)


ACTIONS = {
    "fuse": lambda model, path: model.fuse(),
    "fuse the backbone": lambda model, path: model.backbone.fuse(),
    "transfer": lambda model, path: transfer(model, 3),
    "write a checkpoint of": lambda model, path: save_checkpoint(model, path.with_suffix(".pth")),
    "load a checkpoint into": lambda model, path: load_checkpoint(model, path),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state, advice", [("quantized layers", "Quantize last"), ("LoRA", "Enable LoRA last")])
def test_what_is_for_float_weights_refuses_others(tmp_path, action, state, advice):
    model = make(layer_scale_init_value=1.0)
    model.save(tmp_path / "float.keras")
    if state == "LoRA":
        add_lora(model)
    else:
        model.quantize("int8")
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"Cannot {action.split(' the ')[0]} a model with {state} .*{advice}"):
        ACTIONS[action](model, tmp_path / "float.keras")
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_quantized_file_is_no_checkpoint_of_a_float_model(tmp_path):
    model = make()
    model.quantize("int8")
    model.save(tmp_path / "int8.keras")
    with pytest.raises(ValueError, match="kernel_scale: the model has no such weight"):
        load_checkpoint(make(), tmp_path / "int8.keras")


def test_refusals_leave_the_model_as_it_was():
    class Calibrated(keras.quantizers.QuantizationConfig):
        mode = "awq"

    model = make()
    model.quantize("int8", filters="^head$")
    for arguments, message in (
        ({"mode": "int8"}, "1 layers are quantized already, such as head"),
        ({"mode": "int8", "filters": "depthwise"}, "`filters` must match a linear layer: head, head_hidden, pointwise"),
        ({"config": Calibrated()}, "awq"),
        ({"mode": "int3"}, "Invalid quantization mode"),
    ):
        with pytest.raises(ValueError, match=message):
            model.quantize(**arguments)
    assert modes_of(model) == ["int8"]


def test_float16_is_refused_as_keras_does(small_backbone):
    with pytest.raises(ValueError, match="float16"):
        small_backbone(dtype="mixed_float16").quantize("int8")
