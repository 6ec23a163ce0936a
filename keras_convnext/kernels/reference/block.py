"""A ConvNeXt block as one function of its weights."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from keras_convnext.kernels.reference.functions import depthwise_conv, layer_scale, linear
from keras_convnext.kernels.reference.norms import grn
from keras_convnext.kernels.reference.remat import remat
from keras_convnext.typing import Tensor


class BlockWeights(NamedTuple):
    """The weights of a ConvNeXt block as tensors. A weight that the block does not have is None.

    Attributes:
        depthwise_kernel: `(side, side, channels, 1)`.
        depthwise_bias: `(channels,)`.
        gamma: weight of the norm, `(channels,)`.
        beta: weight of the norm, `(channels,)`.
        kernel_1: kernel of the first linear layer, `(channels, hidden)`.
        bias_1: `(hidden,)`.
        grn_gamma: `(hidden,)`.
        grn_beta: `(hidden,)`.
        kernel_2: kernel of the second linear layer, `(hidden, channels)`.
        bias_2: `(channels,)`.
        layer_scale: `(channels,)`.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> weights = kernels.BlockWeights(
    ...     depthwise_kernel=ops.ones((7, 7, 8, 1)),
    ...     depthwise_bias=ops.zeros(8),
    ...     gamma=ops.ones(8),
    ...     beta=ops.zeros(8),
    ...     kernel_1=ops.ones((8, 32)),
    ...     bias_1=ops.zeros(32),
    ...     grn_gamma=None,
    ...     grn_beta=None,
    ...     kernel_2=ops.ones((32, 8)),
    ...     bias_2=ops.zeros(8),
    ...     layer_scale=None,
    ... )
    >>> tuple(weights.kernel_1.shape)
    (8, 32)
    """

    depthwise_kernel: Tensor
    depthwise_bias: Tensor | None
    gamma: Tensor
    beta: Tensor | None
    kernel_1: Tensor
    bias_1: Tensor
    grn_gamma: Tensor | None
    grn_beta: Tensor | None
    kernel_2: Tensor
    bias_2: Tensor
    layer_scale: Tensor | None


class BlockSettings(NamedTuple):
    """The settings of a ConvNeXt block: everything but its weights that determines what it computes.

    Attributes:
        dilation: dilation of the depthwise convolution.
        norm: one of the norms here, such as `layer_norm`.
        epsilon: epsilon of the norm.
        activation: an elementwise function, such as `gelu`.
        grn_epsilon: epsilon of the Global Response Normalization; None if the block has none.

    Example:

    >>> from keras_convnext import kernels
    >>> settings = kernels.BlockSettings(
    ...     dilation=1, norm=kernels.layer_norm, epsilon=1e-6, activation=kernels.gelu, grn_epsilon=None
    ... )
    >>> settings.epsilon
    1e-06
    """

    dilation: int
    norm: Callable
    epsilon: float
    activation: Callable
    grn_epsilon: float


def mlp(linear: Callable, x: Tensor, weights: BlockWeights, settings: BlockSettings, training: bool) -> Tensor:
    """The second half of a block's branch: `W2 grn(activation(W1 norm(x)))`.

    Args:
        linear: the kernel of that name to compute with.
        x: `(batch, height, width, channels)`.
        weights: weights of the block.
        settings: settings of the block.
        training: whether gradients are likely to follow.
    """
    y = settings.norm(x, weights.gamma, weights.beta, epsilon=settings.epsilon, training=training)
    y = linear(y, weights.kernel_1, weights.bias_1, activation=settings.activation, training=training)
    if weights.grn_gamma is not None:
        y = grn(y, weights.grn_gamma, weights.grn_beta, epsilon=settings.grn_epsilon)
    return linear(y, weights.kernel_2, weights.bias_2, training=training)


def add_branch(x: Tensor, y: Tensor, weights: BlockWeights, keep: Tensor | None) -> Tensor:
    """The end of a block: `x + keep * layer_scale(y)`. `keep` may be None."""
    y = y if weights.layer_scale is None else layer_scale(y, weights.layer_scale)
    return x + (y if keep is None else y * keep)


def composed_block(depthwise_conv: Callable, linear: Callable, remat: Callable) -> Callable:
    """Returns a `block` that computes with the given functions."""

    def block(
        x: Tensor,
        weights: BlockWeights,
        settings: BlockSettings,
        *,
        keep: Tensor | None = None,
        recompute: bool = False,
        training: bool = False,
    ) -> Tensor:
        """A ConvNeXt block: `x + keep * layer_scale(W2 grn(activation(W1 norm(depthwise_conv(x)))))`.

        Args:
            x: `(batch, height, width, channels)`.
            weights: weights of the block.
            settings: settings of the block.
            keep: `(batch, 1, 1, 1)`, the factor of the branch by stochastic depth; None for 1. Defaults to None.
            recompute: whether to keep only the inputs of the branch for the gradient, and to recompute the branch in
                the backward pass. Defaults to False.
            training: whether gradients are likely to follow. Defaults to False.

        Example:

        >>> from keras import ops
        >>> from keras_convnext import kernels
        >>> weights = kernels.BlockWeights(
        ...     depthwise_kernel=ops.ones((7, 7, 8, 1)),
        ...     depthwise_bias=ops.zeros(8),
        ...     gamma=ops.ones(8),
        ...     beta=ops.zeros(8),
        ...     kernel_1=ops.ones((8, 32)),
        ...     bias_1=ops.zeros(32),
        ...     grn_gamma=None,
        ...     grn_beta=None,
        ...     kernel_2=ops.ones((32, 8)),
        ...     bias_2=ops.zeros(8),
        ...     layer_scale=None,
        ... )
        >>> settings = kernels.BlockSettings(1, kernels.layer_norm, 1e-6, kernels.gelu, grn_epsilon=None)
        >>> tuple(kernels.block(ops.ones((1, 14, 14, 8)), weights, settings).shape)
        (1, 14, 14, 8)
        """
        of_branch = weights._replace(layer_scale=None)

        def branch(x, *tensors):
            w = restored(of_branch, tensors)
            dilation = settings.dilation
            y = depthwise_conv(x, w.depthwise_kernel, w.depthwise_bias, dilation=dilation, training=training)
            return mlp(linear, y, w, settings, training)

        branch = remat(branch) if recompute else branch
        return add_branch(x, branch(x, *present(of_branch)), weights, keep)

    return block


def present(weights: BlockWeights) -> list[Tensor]:
    """The weights of a block that are not None."""
    return [weight for weight in weights if weight is not None]


def restored(weights: BlockWeights, present: Iterable[Tensor]) -> BlockWeights:
    """Replaces those weights of a block that are not None, in their order, by the tensors of `present`."""
    present = iter(present)
    return BlockWeights(*(None if weight is None else next(present) for weight in weights))


block = composed_block(depthwise_conv, linear, remat)
