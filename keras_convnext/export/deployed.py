"""The model that is exported: folded, in the precision of the file, from raw images to probabilities if wanted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_convnext.export.quiet import quiet
from keras_convnext.layers import ConvNeXtBlock
from keras_convnext.models import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.models.fuse import fold_layer_scale, without_layer_scale
from keras_convnext.models.image_input import image_axes, is_channels_first, value_range
from keras_convnext.models.layer_tree import sublayers
from keras_convnext.preprocessing import ResizeAndCrop, ResizeAndCropLayer
from keras_convnext.segmentation import UPerNet
from keras_convnext.typing import Tensor

INPUT = "image"
"""The name of the input in every format."""

EXACT = ("Normalization", "ResizeAndCropLayer", "InputLayer")
"""The classes of layers that stay in float32: float16 does not hold the squares of 0..255."""

CHANGED_POLICIES = ("float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
"""The dtype policies in whose place a file has its own precision."""

FOLDED = ("ConvNeXtBackbone", "ConvNeXtBlock")
"""The classes whose configurations hold a layer scale."""


def prepared_model(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """A copy of a model with its layer scales folded into the weights before them, in another precision.

    Args:
        model: any Keras model.
        dtype: `"float32"`, or `"float16"` for weights and computation in float16. Sums of the norms stay in float32.

    Returns:
        The copy; the model itself if there is nothing to change.

    Raises:
        ValueError: the model has a layer of a class that Keras cannot load, or quantized weights.
    """
    scaled = any(isinstance(layer, ConvNeXtBlock) and layer.layer_scale for _, layer, _ in sublayers(model))
    if not scaled and dtype == "float32" and not is_mixed(model):
        return model
    copy = _copy(model, dtype, FOLDED)
    fold_layer_scale(model, copy)
    return copy


def float32_copy(model: keras.Model) -> keras.Model:
    """A copy of a model in float32, on Keras's current device. Its layer scales stay.

    Raises:
        ValueError: the model has a layer of a class that Keras cannot load.
    """
    copy = _copy(model, "float32", folded=())
    for weight, new in zip(model.weights, copy.weights, strict=True):
        new.assign(np.asarray(weight).astype(new.dtype))
    return copy


def _copy(model, dtype, folded):
    """A model of the same configuration with initial weights, without the layer scales of some classes."""
    config = _changed(keras.saving.serialize_keras_object(model), dtype, folded)
    before = keras.config.dtype_policy()
    # Of layers without their own, such as the heads of keras-cv. PyTorch cannot initialize all of them in float16.
    keras.config.set_dtype_policy("mixed_float16" if dtype == "float16" else dtype)
    try:
        return keras.saving.deserialize_keras_object(config)
    except TypeError as error:
        raise ValueError(
            f"The model cannot be copied, which an export with a layer scale, in float16 or from a GPU needs: "
            f"{unknown_class(error)}. Register the classes of your layers with "
            "keras.saving.register_keras_serializable()."
        ) from error
    finally:
        keras.config.set_dtype_policy(before)


def unknown_class(error: Exception) -> str:
    """What Keras does not know, from an error that has whole configurations in its message."""
    found = re.search(r"Could not locate (?:class|function) '[^']*'", str(error))
    return found[0] if found else str(error).splitlines()[0]


def _changed(config, dtype, folded):
    """A configuration without the layer scales of some classes, and with another dtype policy in place of float32."""
    if isinstance(config, (list, tuple)):
        return [_changed(one, dtype, folded) for one in config]
    if not isinstance(config, dict):
        return config
    inner = config.get("config")
    if isinstance(inner, dict):
        if config.get("class_name") in folded and "layer_scale_init_value" in inner:
            inner = {**without_layer_scale(inner), "layer_scale_init_value": None}
        if config.get("class_name") not in EXACT and _policy_name(inner.get("dtype")) in CHANGED_POLICIES:
            inner = {**inner, "dtype": dtype}
        config = {**config, "config": inner}
    return {name: _changed(value, dtype, folded) for name, value in config.items() if name != "compile_config"}


def _policy_name(policy):
    return policy.get("config", {}).get("name") if isinstance(policy, dict) else policy


def is_mixed(model: keras.Model) -> bool:
    """Whether layers of a model compute in another precision than float32."""
    return any(layer.compute_dtype in ("float16", "bfloat16") for _, layer, _ in sublayers(model))


def deployed_model(
    model: keras.Model,
    batch_size: int | None = None,
    image_size: tuple[int, int] | None = None,
    preprocess: ResizeAndCrop | None = None,
    softmax: bool = False,
) -> keras.Model:
    """Wraps a model into one from images to named outputs in float32.

    Args:
        model: a model with one input, of images.
        batch_size: number of images in a batch. Defaults to None, for any.
        image_size: height and width of the images. Defaults to None, for those of the model's input, which may be free.
        preprocess: resizes and crops images of any size, of uint8, to the model's. Defaults to None.
        softmax: whether the outputs are probabilities in place of logits. Defaults to False.

    Returns:
        A functional model that returns a dict.

    Raises:
        ValueError: the model has several inputs, has no logits to turn into probabilities, or cannot take this size.
    """
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(
            "Only functional models of one input, of images, are exported. Received: a model with inputs of shapes "
            f"{', '.join(str(tensor.shape) for tensor in inputs) or 'that are not known'}"
        )
    channels_first = is_channels_first(model)
    height, width, channels = image_axes(model.inputs[0].shape[1:], channels_first)
    size = (preprocess.height, preprocess.width) if preprocess else image_size or (height, width)
    for given, own in zip(size, (height, width), strict=True):
        if own not in (None, given):
            raise ValueError(
                f"The model takes images of {height} x {width} pixels. Received: {size[0]} x {size[1]}. Leave out the "
                "size, or build the model with free sizes."
            )
    if preprocess:
        shape = (None, None, channels)
        x = image = keras.Input(shape, batch_size, dtype="uint8", name=INPUT)
        x = ResizeAndCropLayer.like(preprocess, name="resize_and_crop")(x)
        x = ops.transpose(x, (0, 3, 1, 2)) if channels_first else x
    else:
        shape = (channels, *size) if channels_first else (*size, channels)
        x = image = keras.Input(shape, batch_size, name=INPUT)
    with quiet():  # Keras warns about keras-cv's detectors, whose inputs have names
        outputs = named_outputs(model, model(x, training=False))
    if softmax:
        outputs = _probabilities(model, outputs)
    outputs = {name: ops.cast(tensor, "float32") for name, tensor in outputs.items()}
    return keras.Model(image, outputs, name=f"deployed_{model.name}")


def described_input(model: keras.Model, shape: Sequence[int | None]) -> dict[str, Any]:
    """What the metadata of a file say about its images.

    Args:
        model: the model that the file computes, from images of its own size on.
        shape: shape of the file's input.
    """
    layout = "NCHW" if is_channels_first(model) else "NHWC"
    return {"layout": layout, "shape": list(shape), "range": value_range(model)}


def named_outputs(model: keras.Model, outputs: Any) -> dict[str, Tensor]:
    """The outputs of a model by name: those of a dict, or the name that fits the kind of model."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    tensors = keras.tree.flatten(outputs)
    if len(tensors) > 1:
        return {f"output_{number}": tensor for number, tensor in enumerate(tensors)}
    is_classes = isinstance(model, (ConvNeXtClassifier, UPerNet)) and bool(model.num_classes)
    if not is_classes:
        return {"features" if isinstance(model, (ConvNeXtBackbone, ConvNeXtClassifier)) else "output": tensors[0]}
    activation = getattr(model.activation, "__name__", model.activation)
    return {{None: "logits", "softmax": "probabilities"}.get(activation, "output"): tensors[0]}


def _probabilities(model, outputs):
    if list(outputs) != ["logits"]:
        raise ValueError(
            "`softmax` turns the logits of a classifier or of a UPerNet into probabilities. Received: a model with the "
            f"outputs {', '.join(outputs)}"
        )
    axis = 1 if is_channels_first(model) and len(outputs["logits"].shape) == 4 else -1
    return {"probabilities": ops.softmax(outputs["logits"], axis=axis)}
