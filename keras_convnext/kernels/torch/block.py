"""A block and a patch embedding on torch.

On a GPU they are compiled; without gradients on the CPU they are computed by slices; otherwise as in the reference.
"""

from keras_convnext.kernels.reference import BlockWeights, add_branch, composed_patch_embed, mlp, present, restored
from keras_convnext.kernels.torch import compiled, inference
from keras_convnext.kernels.torch.depthwise_conv import depthwise_conv
from keras_convnext.kernels.torch.functions import linear
from keras_convnext.kernels.torch.remat import remat


def block(x, weights, settings, *, keep=None, recompute=False, training=False):
    """See the reference. No kernel here asks whether it is for training."""
    if compiled.serves(x, *weights):

        def call(function, x, keep, weights):
            return compiled.call(function, settings, x, keep, weights)

    elif keep is None and inference.serves(x):
        return inference.block(x, weights, settings)
    else:

        def call(function, x, keep, weights):
            return function(settings, x, keep, *weights)

    if not recompute:
        return call(_whole, x, keep, weights)
    of_branch = weights._replace(layer_scale=None)
    branch = remat(lambda x, *tensors: call(_branch, x, None, restored(of_branch, tensors)))
    return add_branch(x, branch(x, *present(of_branch)), weights, keep)


def _branch(settings, x, _, *weights):
    weights = BlockWeights(*weights)
    y = depthwise_conv(x, weights.depthwise_kernel, weights.depthwise_bias, dilation=settings.dilation)
    return mlp(linear, y, weights, settings, training=False)


def _whole(settings, x, keep, *weights):
    return add_branch(x, _branch(settings, x, None, *weights), BlockWeights(*weights), keep)


_composed_patch_embed = composed_patch_embed(linear)


def _patch_embed(settings, x, _, *weights):
    return _composed_patch_embed(x, *weights, **dict(settings))


def patch_embed(x, kernel, bias, gamma=None, beta=None, *, norm=None, epsilon=None, norm_first=False, training=False):
    """See the reference."""
    weights = kernel, bias, gamma, beta
    if compiled.serves(x, *weights):
        settings = ("norm", norm), ("epsilon", epsilon), ("norm_first", norm_first)
        return compiled.call(_patch_embed, settings, x, None, weights)
    if not inference.serves(x):
        return _composed_patch_embed(x, *weights, norm=norm, epsilon=epsilon, norm_first=norm_first)

    def normalized(x):
        return norm(x, gamma, beta, epsilon=epsilon)

    if norm is None:
        return inference.patch_embed(x, kernel, bias, lambda x: x)
    if norm_first:
        return inference.patch_embed(x, kernel, bias, normalized)
    return normalized(inference.patch_embed(x, kernel, bias, lambda x: x))
