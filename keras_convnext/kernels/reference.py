"""Every kernel in `keras.ops`. It defines what a function computes, and runs where a backend has nothing faster."""

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

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


def depthwise_conv(x: Tensor, kernel: Tensor, bias: Tensor | None, *, dilation: int, training: bool = False) -> Tensor:
    """Convolves each channel with its own kernel, at stride 1 and with "same" padding.

    Args:
        x: `(batch, height, width, channels)`.
        kernel: `(side, side, channels, 1)`, `side` odd.
        bias: `(channels,)` or None.
        dilation: the distance between the taps of the kernel, in pixels.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, kernel = ops.ones((1, 14, 14, 8)), ops.ones((7, 7, 8, 1))
    >>> tuple(kernels.depthwise_conv(x, kernel, None, dilation=1).shape)
    (1, 14, 14, 8)
    """
    y = ops.depthwise_conv(x, kernel, strides=1, padding="same", data_format="channels_last", dilation_rate=dilation)
    return y if bias is None else y + bias


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float, training: bool = False) -> Tensor:
    """Layer normalization of the last axis: `(x - mean) / sqrt(var + epsilon) * gamma + beta`.

    Sums are float32 at least.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one, zero = ops.array([[1.0, 3.0]]), ops.ones(2), ops.zeros(2)
    >>> print(ops.convert_to_numpy(kernels.layer_norm(x, one, zero, epsilon=1e-6)).round(3))
    [[-1.  1.]]
    """
    exact = _exact(x)
    centered = exact - ops.mean(exact, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    normalized = centered * ops.rsqrt(variance + epsilon)
    return ops.cast(normalized * ops.cast(gamma, exact.dtype) + ops.cast(beta, exact.dtype), x.dtype)


def rms_norm(x: Tensor, gamma: Tensor, beta: Tensor | None = None, *, epsilon: float, training: bool = False) -> Tensor:
    """Root mean square normalization of the last axis: `x / sqrt(mean(x**2) + epsilon) * gamma`.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.
        beta: must be None. All norms have this argument, so that they are called alike. Defaults to None.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one = ops.array([[1.0, 3.0]]), ops.ones(2)
    >>> print(ops.convert_to_numpy(kernels.rms_norm(x, one, epsilon=1e-6)).round(3))
    [[0.447 1.342]]
    """
    exact = _exact(x)
    return _divided(exact, ops.mean(ops.square(exact), axis=-1, keepdims=True), gamma, epsilon, x.dtype)


def simple_norm(
    x: Tensor, gamma: Tensor, beta: Tensor | None = None, *, epsilon: float, training: bool = False
) -> Tensor:
    """Division by the standard deviation of the last axis: `x / sqrt(var(x) + epsilon) * gamma`, `var` unbiased.

    Args:
        x: `(..., channels)`, with two channels or more.
        gamma: `(channels,)`.
        beta: must be None, as for `rms_norm`. Defaults to None.
        epsilon: keeps the division finite.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> x, one = ops.array([[1.0, 3.0]]), ops.ones(2)
    >>> print(ops.convert_to_numpy(kernels.simple_norm(x, one, epsilon=1e-6)).round(3))
    [[0.707 2.121]]
    """
    exact, channels = _exact(x), x.shape[-1]
    variance = ops.var(exact, axis=-1, keepdims=True) * (channels / (channels - 1))
    return _divided(exact, variance, gamma, epsilon, x.dtype)


def _divided(exact, power, gamma, epsilon, dtype):
    return ops.cast(exact * ops.rsqrt(power + epsilon) * ops.cast(gamma, exact.dtype), dtype)


def gelu(x: Tensor, *, training: bool = False) -> Tensor:
    """The exact Gaussian error linear unit `x * Phi(x)`, with the normal distribution's cumulative function `Phi`.

    Args:
        x: of any shape.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> print(ops.convert_to_numpy(kernels.gelu(ops.array([-1.0, 0.0, 1.0]))).round(3))
    [-0.159  0.     0.841]
    """
    return ops.gelu(x, approximate=False)


def linear(
    x: Tensor, kernel: Tensor, bias: Tensor | None, *, activation: Callable | None = None, training: bool = False
) -> Tensor:
    """A linear layer over the last axis: `activation(x @ kernel + bias)`.

    Args:
        x: `(..., inputs)`.
        kernel: `(inputs, units)`.
        bias: `(units,)` or None.
        activation: elementwise function, such as `gelu`; None for no activation. Defaults to None.
        training: whether gradients are likely to follow. Defaults to False.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> y = kernels.linear(ops.ones((2, 4)), ops.ones((4, 3)), ops.ones(3), activation=kernels.gelu)
    >>> tuple(y.shape)
    (2, 3)
    """
    y = ops.matmul(x, kernel)
    y = y if bias is None else y + bias
    return y if activation is None else activation(y)


def grn(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float) -> Tensor:
    """Global Response Normalization: `x * (norm / (mean(norm) + epsilon)) * gamma + beta + x`.

    `norm` is taken over height and width, and its mean over the channels. Squares are summed in float32 at least,
    because 256 squared overflows float16. The gradient of a channel of zeros is zero, where that of a plain square root
    is NaN.

    Args:
        x: `(batch, height, width, channels)`.
        gamma: `(channels,)`.
        beta: `(channels,)`.
        epsilon: keeps the division finite.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> y = kernels.grn(ops.ones((1, 7, 7, 8)), ops.ones(8), ops.zeros(8), epsilon=1e-6)
    >>> round(float(ops.mean(y)), 3)
    2.0
    """
    square_sum = ops.sum(ops.square(_exact(x)), axis=(1, 2), keepdims=True)
    positive = square_sum > 0
    norm = ops.where(positive, ops.sqrt(ops.where(positive, square_sum, 1.0)), 0.0)
    response = norm / (ops.mean(norm, axis=-1, keepdims=True) + epsilon)
    factor = ops.cast(1.0 + response * ops.cast(gamma, norm.dtype), x.dtype)
    return x * factor + ops.cast(beta, x.dtype)


def layer_scale(x: Tensor, gamma: Tensor) -> Tensor:
    """Layer scale: `gamma * x`, multiplied in the type of gamma, because float16 has few bits for a scale of 1e-6.

    Args:
        x: `(..., channels)`.
        gamma: `(channels,)`.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> print(ops.convert_to_numpy(kernels.layer_scale(ops.array([[2.0, 4.0]]), ops.array([0.5, 0.25]))))
    [[1. 1.]]
    """
    return ops.cast(ops.cast(x, gamma.dtype) * gamma, x.dtype)


def global_mean(x: Tensor) -> Tensor:
    """The mean over height and width.

    Args:
        x: `(batch, height, width, channels)`.

    Returns:
        `(batch, channels)`.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> tuple(kernels.global_mean(ops.ones((2, 7, 7, 8))).shape)
    (2, 8)
    """
    return ops.mean(x, axis=(1, 2))


def patches(x: Tensor, side: int) -> Tensor:
    """Cuts a map into square patches that do not overlap. Rows and columns that do not fill a patch are dropped.

    Args:
        x: `(batch, height, width, channels)`.
        side: side of a patch in pixels.

    Returns:
        `(batch, height // side, width // side, side * side * channels)`.
    """
    batch, height, width, channels = ops.shape(x)
    down, across = height // side, width // side
    x = x[:, : down * side, : across * side]
    x = ops.reshape(x, (batch, down, side, across, side, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (batch, down, across, side * side * channels))


def composed_patch_embed(linear: Callable) -> Callable:
    """Returns a `patch_embed` that computes with the given `linear`."""

    def patch_embed(
        x: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        *,
        norm: Callable | None = None,
        epsilon: float | None = None,
        norm_first: bool = False,
        training: bool = False,
    ) -> Tensor:
        """A convolution whose stride equals its kernel size, as a linear layer over patches, and a norm.

        Args:
            x: `(batch, height, width, channels)`.
            kernel: `(side, side, channels, filters)`.
            bias: `(filters,)` or None.
            gamma: weight of the norm. Defaults to None.
            beta: weight of the norm. Defaults to None.
            norm: one of the norms here, such as `layer_norm`; None for no norm. Defaults to None.
            epsilon: epsilon of the norm. Defaults to None.
            norm_first: whether the norm precedes the convolution. Defaults to False.
            training: whether gradients are likely to follow. Defaults to False.

        Returns:
            `(batch, height // side, width // side, filters)`.

        Example:

        >>> from keras import ops
        >>> from keras_convnext import kernels
        >>> tuple(kernels.patch_embed(ops.ones((1, 32, 32, 3)), ops.ones((4, 4, 3, 96)), None).shape)
        (1, 8, 8, 96)
        """
        if norm is not None and norm_first:
            x = norm(x, gamma, beta, epsilon=epsilon, training=training)
        side, filters = kernel.shape[0], kernel.shape[-1]
        y = linear(patches(x, side), ops.reshape(kernel, (-1, filters)), bias, training=training)
        return y if norm is None or norm_first else norm(y, gamma, beta, epsilon=epsilon, training=training)

    return patch_embed


patch_embed = composed_patch_embed(linear)


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


def remat(function: Callable) -> Callable:
    """Returns a function like `function` that keeps only its arguments for the gradient (arXiv:1604.06174).

    The backward pass recomputes the rest.

    Args:
        function: function of x and further tensors. Its result for one image of x must not depend on the other images.
            It must not use random numbers, because the backward pass would sample others.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> function = kernels.remat(lambda x, kernel: kernels.linear(x, kernel, None))
    >>> tuple(function(ops.ones((2, 4)), ops.ones((4, 3))).shape)
    (2, 3)
    """
    return keras.remat(function)


block = composed_block(depthwise_conv, linear, remat)


def adamw_step(
    gradients: Sequence[Tensor],
    weights: Sequence[keras.Variable],
    momentums: Sequence[keras.Variable],
    velocities: Sequence[keras.Variable],
    *,
    iterations: Tensor,
    learning_rate: Tensor | float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One step of AdamW in place, by torch's formula, which adds epsilon after the bias correction.

    Args:
        gradients: gradients of the weights.
        weights: variables shaped like the gradients.
        momentums: variables shaped like the gradients.
        velocities: variables shaped like the gradients.
        iterations: the number of steps before this one.
        learning_rate: the learning rate of this step.
        weight_decay: the weight decay of all these weights.
        betas: the decay rates of the momentums and of the velocities.
        epsilon: keeps the division finite.

    Example:

    >>> import keras
    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> weight, momentum, velocity = (keras.Variable([value]) for value in (1.0, 0.0, 0.0))
    >>> kernels.adamw_step(
    ...     [ops.array([2.0])],
    ...     [weight],
    ...     [momentum],
    ...     [velocity],
    ...     iterations=ops.array(0),
    ...     learning_rate=0.1,
    ...     weight_decay=0.0,
    ...     betas=(0.9, 0.999),
    ...     epsilon=1e-8,
    ... )
    >>> print(ops.convert_to_numpy(weight).round(3))
    [0.9]
    """
    corrections = bias_corrections(iterations, betas)
    for gradient, weight, momentum, velocity in zip(gradients, weights, momentums, velocities, strict=True):
        gradient, rate = ops.cast(gradient, weight.dtype), ops.cast(learning_rate, weight.dtype)
        first, second = (ops.cast(correction, weight.dtype) for correction in corrections)
        value = ops.convert_to_tensor(weight)
        if weight_decay:
            value = value - value * weight_decay * rate
        momentum.assign(momentum + (gradient - momentum) * (1 - betas[0]))
        velocity.assign(velocity + (ops.square(gradient) - velocity) * (1 - betas[1]))
        denominator = ops.sqrt(velocity / second) + epsilon
        weight.assign(value - rate * (momentum / first) / denominator)


def bias_corrections(iterations: Tensor, betas: tuple[float, float]) -> list[Tensor]:
    """`1 - beta ** step` for each beta, without the cancellation that this formula has in float32."""
    step = ops.cast(iterations + 1, "float32")
    return [-ops.expm1(step * (math.log(beta) if beta else -math.inf)) for beta in betas]


def adamw_is_multi_tensor() -> bool:
    """Whether one `adamw_step` for many weights is faster than one per weight.

    Example:

    >>> from keras_convnext import kernels
    >>> isinstance(kernels.adamw_is_multi_tensor(), bool)
    True
    """
    return False


def avoids_jit() -> bool:
    """Whether Keras's `jit_compile="auto"` must not compile a model of these kernels with XLA.

    Example:

    >>> from keras_convnext import kernels
    >>> isinstance(kernels.avoids_jit(), bool)
    True
    """
    return False


def as_runtime_errors() -> contextlib.AbstractContextManager:
    """A context in which errors of the backend's computations, such as too little memory, are `RuntimeError`s.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> with kernels.as_runtime_errors():
    ...     total = ops.sum(ops.ones(3))
    """
    return contextlib.nullcontext()


def comparable_size(size: Any) -> Any:
    """Returns a size of a tensor's shape as a value that can be compared.

    Args:
        size: an integer, or the tensor or symbol that a shape has while the backend traces a program.

    Example:

    >>> from keras_convnext import kernels
    >>> kernels.comparable_size(224) > 32
    True
    """
    return size


def is_observed(x: Tensor, layers: Sequence[keras.layers.Layer]) -> bool:
    """Whether something observes the layers or operations of a call one by one, so that the layers must be called.

    Args:
        x: the input of the call.
        layers: the layers that the call consists of.

    Example:

    >>> import keras
    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> kernels.is_observed(ops.ones((2, 4)), [keras.layers.Dense(3)])
    False
    """
    return False


def _exact(x: Tensor) -> Tensor:
    """x in float32, or in float64 if it is float64."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
