"""A block on JAX, whose MLP is always recomputed in the backward pass on the CPU.

On the CPU, XLA allocates the memory of the hidden activations again in each step, which takes longer than recomputing
the first product of the MLP. On a GPU, allocated memory is reused, and the product would be a sixth of the block's
arithmetic. There the block is recomputed only on request.
"""

from keras_convnext.kernels.jax.depthwise_conv import depthwise_conv
from keras_convnext.kernels.jax.device import on_cpu
from keras_convnext.kernels.jax.functions import linear
from keras_convnext.kernels.jax.remat import remat
from keras_convnext.kernels.reference import add_branch, composed_block, mlp, present, restored
from keras_convnext.kernels.shared.exporting import is_exporting

_composed_block = composed_block(depthwise_conv, linear, remat)


def block(x, weights, settings, *, keep=None, recompute=False, training=False):
    """See the reference."""
    if recompute or is_exporting() or not on_cpu():
        return _composed_block(x, weights, settings, keep=keep, recompute=recompute, training=training)
    y = depthwise_conv(
        x, weights.depthwise_kernel, weights.depthwise_bias, dilation=settings.dilation, training=training
    )
    of_mlp = weights._replace(depthwise_kernel=None, depthwise_bias=None, layer_scale=None)
    recomputed = remat(lambda y, *tensors: mlp(linear, y, restored(of_mlp, tensors), settings, training))
    return add_branch(x, recomputed(y, *present(of_mlp)), weights, keep)
