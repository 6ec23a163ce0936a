"""Models of other packages: they run on torch, or on the backend where they are Keras's own."""

import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier


@pytest.fixture
def torch():
    import torch

    return torch


@pytest.fixture
def timm():
    """timm imports torchvision, of which the compiled part is for a torch with CUDA: no ConvNeXt needs it."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import timm

    return timm


@pytest.fixture
def torchvision():
    from keras_convnext.extras import import_torchvision

    return import_torchvision()


@pytest.fixture
def transformers(torchvision):
    import transformers

    return transformers


@pytest.fixture
def randomized(torch):
    """A function: gives all weights of a torch model values that show in its outputs, and returns it."""

    def randomize(model):
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                noise = torch.randn(weight.shape, generator=generator)
                if weight.numel() > max(weight.shape):
                    weight.copy_(noise / weight[0].numel() ** 0.5)
                else:
                    scale = name.endswith("gamma") or "scale" in name or "grn.weight" in name
                    start = 0.3 if scale else float(name.endswith("weight"))
                    weight.copy_(start + 0.1 * noise)
        return model.eval()

    return randomize


@pytest.fixture
def with_random_weights(rng):
    """A function: the same for a model of ours."""

    def randomize(model):
        for weight in model.weights:
            start = 1.0 if weight.name == "gamma" else 0.0
            start = 0.3 if "layer_scale" in weight.path or weight.path.endswith("grn/gamma") else start
            fan_in = weight.shape[0] * weight.shape[1] * weight.shape[2] if len(weight.shape) == 4 else weight.shape[0]
            fan_in = 49 if "depthwise_conv" in weight.path else fan_in
            scale = fan_in**-0.5 if weight.name == "kernel" else 0.1
            weight.assign((start + scale * rng.normal(size=weight.shape)).astype("float32"))
        return model

    return randomize


@pytest.fixture
def small_images(rng):
    """Three normalized images of 64 x 64 pixels, channels last."""
    return rng.normal(size=(3, 64, 64, 3)).astype("float32")


@pytest.fixture
def run_torch(torch):
    """A function: the output of a torch function on channels-last images, as NumPy arrays, maps channels last."""

    def run(function, images):
        with torch.no_grad():
            outputs = function(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return [y.numpy().transpose(0, 2, 3, 1) if y.ndim == 4 else y.numpy() for y in outputs]

    return run


@pytest.fixture
def classifier():
    """A function: a classifier of a variant for normalized images of 64 x 64 pixels."""

    def make(variant, num_classes=10, **changes):
        return ConvNeXtClassifier.from_preset(
            variant, num_classes=num_classes, include_preprocessing=False, input_shape=(64, 64, 3), **changes
        )

    return make


@pytest.fixture
def outputs(numpy_of):
    """A function: logits and pyramid levels of one of our classifiers."""
    import keras

    def run(model, images):
        backbone = model.backbone
        levels = keras.Model(backbone.input, backbone.pyramid_outputs)
        return [numpy_of(model, images), *numpy_of(levels, images).values()]

    return run


@pytest.fixture
def assert_close():
    """A function: holds outputs against expected ones, to 1e-4; they must not be all alike."""

    def check(found, expected):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert theirs.std() > 0.1
            assert np.abs(ours - theirs).max() < 1e-4

    return check
