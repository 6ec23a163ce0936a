"""The evaluation transform against timm's own, on photographs."""

import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtBackbone
from keras_convnext.checkpoints import CHECKPOINTS
from keras_convnext.preprocessing import ResizeAndCrop, preprocessor

# A name for each set of evaluation settings in the catalog.
EVALUATIONS = {
    (entry.image_size, entry.crop_pct, entry.squash, entry.interpolation, entry.mean): name
    for name, entry in CHECKPOINTS.items()
}


@pytest.fixture
def create_transform():
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    from timm.data.transforms_factory import create_transform

    return create_transform


def normalized(pixels, entry):
    return (pixels.astype("float32") / 255 - np.float32(entry.mean)) / np.float32(entry.std)


@pytest.mark.parametrize("name", EVALUATIONS.values())
def test_equals_timms_transform(create_transform, photographs, name):
    entry, transform = CHECKPOINTS[name], preprocessor(name)
    reference = create_transform(
        (3, entry.image_size, entry.image_size),
        is_training=False,
        interpolation=entry.interpolation,
        mean=entry.mean,
        std=entry.std,
        crop_pct=entry.crop_pct,
        crop_mode="squash" if entry.squash else "center",
    )
    for photograph in photographs:
        expected = reference(photograph).numpy().transpose(1, 2, 0)
        found = transform(np.asarray(photograph))
        assert found.dtype == np.uint8
        np.testing.assert_allclose(normalized(found, entry), expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(transform(photograph), found)


def test_dinov3_is_prepared_as_in_transformers(photographs):
    """It resizes floating numbers, and Pillow whole ones, rounding after each side: a level of 255 is between them."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    from transformers import DINOv3ViTImageProcessor

    name = "facebook/dinov3-convnext-tiny-pretrain-lvd1689m"
    transform = preprocessor(name)
    assert transform == ResizeAndCrop(224, 224, squash=True, interpolation="bilinear")
    for photograph in photographs:
        expected = DINOv3ViTImageProcessor()(photograph, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        distance = np.abs(normalized(transform(photograph), CHECKPOINTS[name]) - expected) * CHECKPOINTS[name].std * 255
        assert distance.max() <= 1.01
        assert distance.mean() < 0.4


def test_the_models_first_layer_does_the_rest(create_transform, photographs, numpy_of):
    name = "convnext_tiny_1k_224_ema"
    backbone = ConvNeXtBackbone.from_preset(name, load_weights=False, depths=(1,), dims=(4,))
    images = np.stack([preprocessor(name)(photograph) for photograph in photographs])
    expected = np.stack([create_transform(224, crop_pct=0.875, interpolation="bicubic")(p) for p in photographs])
    found = numpy_of(backbone.get_layer("normalization"), images.astype("float32"))
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "image_size", "transform"),
    [
        ("convnext_tiny", None, ResizeAndCrop(224, 224, 0.875)),
        ("convnext_tiny", 384, ResizeAndCrop(384, 384, squash=True)),
        ("convnext_tiny", 256, ResizeAndCrop(256, 256, 0.875)),
        ("convnext_tiny_22k_1k_384", None, ResizeAndCrop(384, 384, squash=True)),
        ("facebook/convnext-tiny-224", 288, ResizeAndCrop(288, 288, 0.875)),
        ("convnext_tiny_1k_224_ema", 384, ResizeAndCrop(384, 384, squash=True)),
        ("convnext_base_1k_384", 224, ResizeAndCrop(224, 224, 0.875)),
        ("torchvision/convnext_tiny", 288, ResizeAndCrop(288, 288, 0.875, interpolation="bilinear")),
        ("timm/convnext_nano.r384_in12k", None, ResizeAndCrop(384, 384)),
        (
            "facebook/dinov3-convnext-base-pretrain-lvd1689m",
            None,
            ResizeAndCrop(224, 224, squash=True, interpolation="bilinear"),
        ),
        ("convnextv2_huge_22k_512_ema", None, ResizeAndCrop(512, 512, squash=True)),
    ],
)
def test_settings(preset, image_size, transform):
    assert preprocessor(preset, image_size) == transform


def test_refuses_an_unknown_preset():
    with pytest.raises(ValueError, match="Unknown preset"):
        preprocessor("resnet50")


@pytest.mark.parametrize("changes", [{"crop_pct": 0}, {"crop_pct": 1.5}, {"interpolation": "nearest"}, {"height": 0}])
def test_refuses_settings_out_of_range(changes):
    with pytest.raises(ValueError, match=f"`{next(iter(changes))}`.* must be"):
        ResizeAndCrop(**{"height": 8, "width": 8, **changes})


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 30), "uint8"),
        np.zeros((1, 20, 30, 3), "uint8"),
        np.zeros((20, 30, 3), bool),
        np.zeros((0, 30, 3), "uint8"),
        np.full((20, 30, 3), 256, "uint16"),
        np.full((20, 30, 3), -0.5),
        "photo.jpg",
    ],
)
def test_refuses_what_is_no_image(image):
    with pytest.raises(ValueError, match=r"Expected an image .*in 0\.\.255.*Received: an array of"):
        ResizeAndCrop(8, 8)(image)


def test_refuses_pillow_images_of_more_than_8_bits():
    with pytest.raises(ValueError, match=r"Expected 8 bits per channel.*mode I;16"):
        ResizeAndCrop(8, 8)(Image.fromarray(np.zeros((20, 30), "uint16")))


@pytest.mark.parametrize("dtype", ["int64", "uint16", "float16", "float64"])
def test_whole_and_other_floating_numbers_are_taken(rng, dtype):
    image = rng.integers(0, 256, (20, 30, 3))
    found = ResizeAndCrop(8, 8)(image.astype(dtype))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ResizeAndCrop(8, 8)(image.astype("uint8")), atol=1)


@pytest.mark.parametrize("squash", [False, True])
def test_grey_and_float_pictures(rng, squash):
    grey = rng.integers(0, 256, (30, 40, 1), dtype="uint8")
    transform = ResizeAndCrop(12, 12, 0.8, squash)
    assert transform(grey).shape == (12, 12, 1)
    np.testing.assert_allclose(transform(grey.astype("float32")), transform(grey), atol=1)
