"""Swin-T and ViT-S/16, which cost is compared with, against torchvision's: parameters and multiply-accumulates."""

import pytest
import torch

from keras_convnext import ConvNeXtClassifier
from keras_convnext.benchmarking.attention_models import attention_model, profile_with_attention
from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.packages import macs
from keras_convnext.extras import import_torchvision
from keras_convnext.profiling import profile


def vit_small_of_torchvision(size):
    return import_torchvision().models.VisionTransformer(
        image_size=size, patch_size=16, num_layers=12, num_heads=6, hidden_dim=384, mlp_dim=1536
    )


@pytest.mark.parametrize("size", [224, 256])  # at 256 windows of 7 x 7 do not divide the maps
def test_swin_costs_what_torchvisions_costs(size, macs_in_torch):
    theirs = import_torchvision().models.swin_t()
    ours = profile_with_attention(attention_model("swin_tiny", size))
    assert ours.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert ours.macs == macs_in_torch(theirs, torch.zeros(1, 3, size, size))


@pytest.mark.parametrize("name", ["swin_tiny", "vit_small"])
def test_takes_channels_last_whatever_keras_json_says(name, channels_first_globally):
    model = attention_model(name, 64)
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 3), (None, 1000))
    assert model.get_layer("head").kernel.shape[0] == {"swin_tiny": 768, "vit_small": 384}[name]


def test_convnext_is_counted_whatever_keras_json_says(channels_first_globally):
    convnext = Case("keras_convnext", "torch", "", "forward", "convnext_atto", 1, 64, "float32", "cpu")
    model = ConvNeXtClassifier.from_preset("convnext_atto", input_shape=(64, 64, 3), data_format="channels_last")
    assert macs(convnext) == profile(model).macs


@pytest.mark.parametrize("size", [128, 224])
def test_vit_costs_what_torchvisions_costs(size, macs_in_torch):
    theirs = vit_small_of_torchvision(size)
    ours = profile_with_attention(attention_model("vit_small", size))
    assert ours.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert ours.macs == macs_in_torch(theirs, torch.zeros(1, 3, size, size))


def test_without_the_products_of_attention_vit_is_linear_in_pixels():
    small, large = (profile(attention_model("vit_small", size)) for size in (128, 256))
    tokens = [(size // 16) ** 2 + 1 for size in (128, 256)]
    head, embedding = 384 * 1000, [(count - 1) * 16 * 16 * 3 * 384 for count in tokens]
    per_token = 12 * 12 * 384**2
    assert [small.macs, large.macs] == [head + e + n * per_token for e, n in zip(embedding, tokens, strict=True)]


def test_below_224_pixels_swins_windows_are_of_the_last_maps_side():
    """At 128 pixels 4 x 4, also where the map has 32 x 32 positions."""
    model = attention_model("swin_tiny", 128)
    products = profile_with_attention(model).macs - profile(model).macs
    positions, widths, depths = (32**2, 16**2, 8**2, 4**2), (96, 192, 384, 768), (2, 2, 6, 2)
    assert products == sum(2 * d * n * 16 * w for n, w, d in zip(positions, widths, depths, strict=True))


@pytest.mark.parametrize(("name", "size"), [("swin_tiny", 48), ("vit_small", 40)])
def test_refuses_sides_that_do_not_divide(name, size):
    with pytest.raises(ValueError, match=f"{name} takes sides of .* Received: {size}"):
        attention_model(name, size)
