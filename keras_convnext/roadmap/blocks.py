"""The blocks of ResNet, Swin Transformer and ConvNeXt, part by part, after the paper's Figure 4 (arXiv:2201.03545)."""

import math
from dataclasses import dataclass

import keras

from keras_convnext.extras import require
from keras_convnext.profiling import profile
from keras_convnext.roadmap.block import residual_block
from keras_convnext.roadmap.steps import describe

SIDE = 56
"""Side of the feature maps in the first stage, for images of 224 pixels."""

LINEAR = ("Conv2D", "DepthwiseConv2D", "Dense")
NORMS = {"BatchNormalization": "BN", "LayerNormalization": "LN", "LayerNorm": "LN"}
ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU"}
PRODUCTS = ("queries x keys", "weights x values")
LEFT_OUT = ("InputLayer", "Reshape", "Transpose", "Unstack", "Multiply", "Softmax", "Dropout")
"""Operations that Figure 4 does not show: reshaping, and the scaling and softmax of attention."""


@dataclass(frozen=True)
class Part:
    """One step of a block's computation.

    Attributes:
        kind: `"linear"` (a convolution, or a dense layer, which is a 1 x 1 convolution), `"product"` (of two
            activations, in attention), `"bias"` (of relative positions), `"norm"`, `"activation"` or `"sum"` (of a
            shortcut and a branch).
        label: the label in the paper's notation: `"d7x7, 96"` is a depthwise 7 x 7 convolution with 96 channels.
        output_shape: shape of the output for one image; within attention, over all windows.
        params: trainable parameters.
        macs: multiply-accumulates for one image.
        begin: index of the part before which the shortcut of a sum begins; None for other kinds.
    """

    kind: str
    label: str
    output_shape: tuple[int, ...]
    params: int = 0
    macs: int = 0
    begin: int | None = None


@dataclass(frozen=True)
class Block:
    """A block of the first stage, for images of 224 pixels.

    Attributes:
        name: `"ResNet"`, `"Swin Transformer"` or `"ConvNeXt"`.
        channels: channels of the input, and of the output.
        parts: the parts in the order of computation.
    """

    name: str
    channels: int
    parts: tuple[Part, ...]

    def count(self, kind: str) -> int:
        """The number of parts of a kind."""
        return sum(part.kind == kind for part in self.parts)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(part.params for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, the products of attention included."""
        return sum(part.macs for part in self.parts)


def blocks() -> list[Block]:
    """Reads the three blocks of the paper's Figure 4 off the layers that compute them.

    The blocks of ResNet and ConvNeXt are those of the first and the last step. The block of Swin Transformer is
    keras-hub's (Swin-T, windows of 7 x 7 positions, three heads). As in Figure 4, layer scale is left out.

    Raises:
        ModuleNotFoundError: keras-hub is not installed.
        ValueError: The block of keras-hub has an unknown operation.

    Example:

    >>> from keras_convnext.roadmap.blocks import blocks
    >>> [(block.name, block.count("norm"), block.count("activation")) for block in blocks()]
    [('ResNet', 3, 3), ('Swin Transformer', 2, 1), ('ConvNeXt', 1, 1)]
    """
    return [
        _block("ResNet", *_of_the_path("resnet")),
        _block("Swin Transformer", *_of_swin()),
        _block("ConvNeXt", *_of_the_path("separate_downsampling")),
    ]


def totals(block: Block) -> str:
    """Sums up a block in one line: its cost, and its numbers of norms and activations."""
    counts = [f"{block.count(kind)} {kind}{'' if block.count(kind) == 1 else 's'}" for kind in ("norm", "activation")]
    return f"{block.macs / 1e6:.1f} M MACs, {block.params:,} parameters, {', '.join(counts)}"


def _of_the_path(step):
    network = describe(step)
    x = keras.Input(batch_shape=(1, SIDE, SIDE, network.out_channels(network.width)))
    model = keras.Model(x, residual_block(x, network, network.width, strides=1, name="block"))
    return model, model.trainable_weights


def _of_swin():
    """The block as a graph that has the operations inside its attention and its MLP.

    To get this graph, the layers are replaced by their `call`. The drop path, one layer that is called twice, is
    replaced by the identity.
    """
    backbone = require("keras_hub", extra="hub").models.SwinTransformerBackbone(
        image_shape=(4 * SIDE, 4 * SIDE, 3),
        embed_dim=96,
        depths=(1,),
        num_heads=(3,),
        window_size=7,
        drop_path=0.0,
        data_format="channels_last",
    )
    block = backbone.stages[0].blocks[0]
    weights = list(block.trainable_weights)
    vars(block).update(attn=block.attn.call, mlp=block.mlp.call, drop_path=lambda x: x)
    x = keras.Input(batch_shape=(1, SIDE * SIDE, 96))
    return keras.Model(x, block.call(x)), weights


def _block(name, model, weights):
    """Reads the parts off the operations of a graph, in order."""
    rows = {row.path: row for row in profile(model).rows}
    params_in_layers = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    parts, place = [], {}  # place: by tensor, the number of parts before it
    for operation in model.operations:
        inputs, outputs = (keras.tree.flatten(tensors) for tensors in (operation.input, operation.output))
        kind, shape = type(operation).__name__, tuple(outputs[0].shape)
        shape = shape[1:] if shape[0] == 1 else shape
        row = rows.get(getattr(operation, "path", None))
        counts = {"params": row.params, "macs": row.macs} if row else {}
        if kind in LINEAR:
            parts.append(Part("linear", _linear_label(operation, shape), shape, **counts))
        elif kind in NORMS:
            parts.append(Part("norm", NORMS[kind], shape, **counts))
        elif activation := ACTIVATIONS.get(operation.activation.__name__ if kind == "Activation" else kind.lower()):
            parts.append(Part("activation", activation, shape))
        elif kind == "Matmul":
            macs = math.prod(outputs[0].shape) * inputs[0].shape[-1]
            products = sum(part.kind == "product" for part in parts)
            label = f"{PRODUCTS[products % 2]}, {inputs[0].shape[1]} heads"
            parts.append(Part("product", label, shape, macs=macs))
        elif kind == "Add" and len(inputs) == 1:  # adds a weight to a tensor
            params = sum(math.prod(weight.shape) for weight in weights) - params_in_layers
            parts.append(Part("bias", "relative positions", shape, params=params))
        elif kind == "Add":
            parts.append(Part("sum", "+", shape, begin=min(place[id(tensor)] for tensor in inputs)))
        elif kind not in LEFT_OUT:
            raise ValueError(f"Expected known operations in the block of {name}. Received: {kind}")
        place |= {id(tensor): len(parts) for tensor in outputs}
    return Block(name, model.input_shape[-1], tuple(parts))


def _linear_label(layer, shape):
    kernel_size = getattr(layer, "kernel_size", 1)
    side = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
    return f"{'d' if 'Depthwise' in type(layer).__name__ else ''}{side}x{side}, {shape[-1]}"
