"""Changes to a layer after it was made: quantized weights, low-rank adapters (LoRA), another dtype policy.

A ConvNeXt block makes its inner layers from its own arguments, and so does a model. What `quantize`, `enable_lora` or a
user changes on these layers afterwards is kept as overrides: arguments of an inner layer, by its name, that replace the
usual ones. Overrides are part of the configuration, so that a loaded model has the same layers.
"""

import keras


def overrides_of(layer: keras.layers.Layer) -> dict[str, dict]:
    """The overrides of a layer's inner layers; an empty dict if none was changed.

    Args:
        layer: a layer with inner layers, or a model.

    Returns:
        A dict that JSON can hold, by the names of the inner layers.

    Example:

    >>> from keras_convnext.layers import ConvNeXtBlock
    >>> from keras_convnext.layers.overrides import overrides_of
    >>> block = ConvNeXtBlock()
    >>> block.build((None, 8, 8, 16))
    >>> block.pointwise_conv_2.enable_lora(4)
    >>> overrides_of(block)
    {'pointwise_conv_2': {'lora_rank': 4, 'lora_alpha': 4}}
    """
    own_policy = None if isinstance(layer, keras.Model) else layer.dtype_policy
    overrides = {inner.name: _override(inner, own_policy) for inner in _inner_layers(layer)}
    return {name: override for name, override in overrides.items() if override}


def configured_overrides(layer: keras.layers.Layer) -> dict[str, dict] | None:
    """The entry `overrides` of a layer's or model's `get_config`; None if no inner layer was changed."""
    return (overrides_of(layer) if layer.built else layer.overrides) or None


def override(layer: keras.layers.Layer, overrides: dict[str, dict] | None) -> keras.layers.Layer:
    """Applies the overrides of a layer to it, before it is built.

    Args:
        layer: a layer.
        overrides: of all inner layers, as `overrides_of` returns them; None for none.

    Returns:
        The layer.
    """
    for name, value in (overrides or {}).get(layer.name, {}).items():
        if name == "dtype":
            layer.dtype_policy = keras.dtype_policies.get(value)
        elif name == "quantization_config":
            layer.quantization_config = keras.saving.deserialize_keras_object(value)
        else:
            setattr(layer, name, value)
    return layer


def override_inner_layers(layer: keras.layers.Layer) -> None:
    """Applies `layer.overrides` to all inner layers. Call it before they are built."""
    for inner in _inner_layers(layer):
        override(inner, layer.overrides)


def _inner_layers(layer):
    return layer._flatten_layers(include_self=False, recursive=False)


def _override(layer, usual_policy):
    """The changed arguments of one layer. If `usual_policy` is None, only a policy that quantizes is a change."""
    override = {}
    if _is_quantized(layer) or (usual_policy and not _same_policy(layer.dtype_policy, usual_policy)):
        override["dtype"] = keras.dtype_policies.serialize(layer.dtype_policy)
    if getattr(layer, "quantization_config", None) is not None:
        override["quantization_config"] = keras.saving.serialize_keras_object(layer.quantization_config)
    if _has_lora(layer):
        override |= {"lora_rank": layer.lora_rank, "lora_alpha": layer.lora_alpha}
    if not isinstance(layer, keras.Model) and hasattr(layer, "overrides") and (inner := overrides_of(layer)):
        override["overrides"] = inner
    return override


def _is_quantized(layer):
    return layer.quantization_mode is not None


def _has_lora(layer):
    return bool(getattr(layer, "lora_enabled", False))


def _same_policy(policy, other):
    return policy is other or policy == other
