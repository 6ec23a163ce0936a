"""Models that torch compiles."""

import keras
import numpy as np
import pytest
import torch

from keras_convnext import ConvNeXtClassifier
from keras_convnext.kernels.torch.depthwise_conv import _compiled, _convolve
from keras_convnext.training import AdamW


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_convolution_is_torchs_own(has_bias, dilation, dtype):
    """Shapes, strides and gradients as the operation declares them, and its values."""
    generator = torch.Generator().manual_seed(0)
    x, kernel, bias = (
        torch.randn(shape, generator=generator).to(dtype).requires_grad_()
        for shape in ((2, 9, 6, 4), (5, 5, 4, 1), (4,))
    )
    arguments = (x, kernel, bias if has_bias else None, dilation)
    torch.library.opcheck(_compiled, arguments)
    trainable = [one for one in arguments[:3] if one is not None]
    results = []
    for function in (_compiled, _convolve):
        y = function(*arguments)
        results.append([y, *torch.autograd.grad(y.square().sum(), trainable)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found.detach().float(), expected.detach().float(), rtol=1e-5, atol=1e-4)


def test_compiled_training_equals_eager_training(small_backbone, images):
    """With two batch sizes, and maps of two sizes, after which torch takes their sides as symbols."""
    x, y = images(6, 8, 8, 3), np.arange(6) % 3
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = ConvNeXtClassifier(small_backbone(depths=(1,), dims=(8,), stem_patch_size=2, input_shape=(8, 8, 3)), 3)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(AdamW(1e-3), loss, jit_compile=jit_compile)
        batches = [slice(0, 4), slice(4, 6), slice(0, 4), slice(4, 6), slice(0, 4)]
        losses.append([float(model.train_on_batch(x[batch], y[batch])) for batch in batches])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
