"""Whether a model returns logits or probabilities, which its loss and its users must know."""

import keras


def returns_logits(model: keras.Model) -> bool:
    """Tells whether a functional model returns logits: the layer that computes its output has no activation.

    Args:
        model: a functional model with one output, such as a `ConvNeXtClassifier`.

    Example:

    >>> from keras_convnext import ConvNeXtClassifier
    >>> from keras_convnext.models import returns_logits
    >>> model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=2, activation="softmax")
    >>> returns_logits(model)
    False
    """
    last = model.outputs[0]._keras_history.operation
    activation = getattr(last, "activation", keras.activations.linear)
    return activation is keras.activations.linear and not isinstance(last, keras.layers.Softmax)
