"""A block and a patch embedding on torch: by slices on the CPU without gradients, else as in the reference."""

from keras_convnext.kernels.reference import composed_block, composed_patch_embed
from keras_convnext.kernels.torch import inference
from keras_convnext.kernels.torch.depthwise_conv import depthwise_conv
from keras_convnext.kernels.torch.functions import linear
from keras_convnext.kernels.torch.remat import remat

_composed_block = composed_block(depthwise_conv, linear, remat)
_composed_patch_embed = composed_patch_embed(linear)


def block(x, weights, settings, *, keep=None, recompute=False, training=False):
    """See the reference."""
    if keep is None and inference.serves(x):
        return inference.block(x, weights, settings)
    return _composed_block(x, weights, settings, keep=keep, recompute=recompute, training=training)


def patch_embed(x, kernel, bias, gamma=None, beta=None, *, norm=None, epsilon=None, norm_first=False, training=False):
    """See the reference."""
    arguments = {"norm": norm, "epsilon": epsilon, "norm_first": norm_first, "training": training}
    if not inference.serves(x):
        return _composed_patch_embed(x, kernel, bias, gamma, beta, **arguments)

    def normalized(x):
        return norm(x, gamma, beta, epsilon=epsilon)

    if norm is None:
        return inference.patch_embed(x, kernel, bias, lambda x: x)
    if norm_first:
        return inference.patch_embed(x, kernel, bias, normalized)
    return normalized(inference.patch_embed(x, kernel, bias, lambda x: x))
