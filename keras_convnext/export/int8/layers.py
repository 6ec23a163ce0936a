"""Which layers of a file are quantized, by one rule for all formats."""

from collections.abc import Sequence
from typing import TypeVar

from keras_convnext.export.check import ExportError

Layer = TypeVar("Layer")


def without_first_and_last(layers: Sequence[Layer]) -> list[Layer]:
    """The layers that are quantized: all convolutions and linear layers that are not depthwise, but the first and last.

    The first, in the stem, sees pixels, and the last, in the head, gives the logits: their errors are not averaged by
    any other layer, and both together have few weights. With the two in int8, the error of the logits of a
    `convnext_mini` on CIFAR-10 grows from 1.2 % to 2.2 % in ONNX, and that of a `convnext_atto` on random images in
    LiteRT from 1.7 % to 17 %.

    Depthwise convolutions stay in float. They have 2 to 5 % of the weights, but in int8 they raise the error of the
    logits of the `convnext_mini` on CIFAR-10 from 1.2 % to 1.8 % in ONNX. Runtimes compute them no faster in int8: a
    `convnext_atto` took 3.8 ms in place of 3.5 ms with them in ONNX Runtime, and 24.0 ms in place of 16.8 ms in LiteRT.

    Norms, the GRN and activations stay in float, too. GRN's sums of squares have a range that 8 bits do not hold.

    Args:
        layers: the convolutions and linear layers of a file, without depthwise convolutions, in the order in which
            they are computed.

    Raises:
        ExportError: nothing is left.

    Example:

    >>> from keras_convnext.export.int8.layers import without_first_and_last
    >>> without_first_and_last(["stem", "pointwise_conv_1", "pointwise_conv_2", "head"])
    ['pointwise_conv_1', 'pointwise_conv_2']
    """
    if len(layers) < 3:
        raise ExportError(
            f"The file has {len(layers)} convolutions and linear layers. The first and the last stay in float, so that "
            "nothing is left to quantize. Use the float file."
        )
    return list(layers[1:-1])
