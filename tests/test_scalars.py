"""NumPy's numbers in every argument: they work as Python's do, and what is saved holds Python's."""

import json

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, roadmap
from keras_convnext.data import AugmentedBatches, Batches, load_digits, split_validation
from keras_convnext.layers import (
    ConvNeXtBlock,
    DepthwiseConv2D,
    Downsample,
    GlobalResponseNormalization,
    LayerScale,
    Stem,
    StochasticDepth,
)
from keras_convnext.layers.layer_norm import LayerNorm
from keras_convnext.layers.patch_conv import PatchConv
from keras_convnext.layers.pointwise_conv import PointwiseConv
from keras_convnext.models import transfer
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop, augmentation, preprocessor
from keras_convnext.preprocessing.resize_layer import ResizeAndCropLayer
from keras_convnext.profiling import profile
from keras_convnext.scalars import rate, share
from keras_convnext.training import RECIPES, AdamW, Recipe, WarmupCosine

BACKBONE = {
    "depths": (1, 1),
    "dims": (8, 16),
    "stem_patch_size": 2,
    "stem_norm": False,
    "kernel_size": 3,
    "mlp_ratio": 2.5,
    "layer_scale_init_value": 0.5,
    "use_grn": True,
    "norm_eps": 0.25,
    "drop_path_rate": 0.125,
    "output_stride": 4,
    "level_norm": True,
    "input_shape": (16, None, 3),
    "include_preprocessing": True,
    "mean": (0.5, 0.25, 0.5),
    "std": 0.25,
    "remat": True,
}
HEAD = {"num_classes": 3, "head_init_scale": 0.5, "head_norm_first": True, "head_hidden_size": 8, "drop_rate": 0.25}
LAYERS = [
    (ConvNeXtBlock, {name: BACKBONE[name] for name in ("kernel_size", "mlp_ratio", "layer_scale_init_value")}),
    (ConvNeXtBlock, {"use_grn": True, "drop_path_rate": 0.5, "norm_eps": 0.25, "dilation_rate": 2, "remat": True}),
    (DepthwiseConv2D, {"kernel_size": 3, "dilation_rate": 2, "use_bias": False, "strides": 2}),
    (Downsample, {"dim": 8, "strides": 1, "dilation_rate": 2, "norm_eps": 0.25}),
    (GlobalResponseNormalization, {"epsilon": 0.25}),
    (LayerScale, {"init_value": 0.5}),
    (LayerNorm, {"epsilon": 0.25}),
    (PatchConv, {"filters": 8, "patch_size": 2}),
    (PointwiseConv, {"units": 8}),
    (Stem, {"dim": 8, "patch_size": 2, "use_norm": True, "norm_eps": 0.25}),
    (StochasticDepth, {"rate": 0.5, "seed": 3}),
    (ResizeAndCropLayer, {"height": 4, "width": 4, "crop_pct": 0.5, "squash": True}),
]
STEPS = [
    (augmentation.RandomFlip, {"probability": 0.5}),
    (augmentation.RandomResizedCrop, {"height": 8, "width": 8, "scale": (0.5, 1.0), "ratio": (0.5, 2.0)}),
    (
        augmentation.RandAugment,
        {"magnitude": 5.0, "magnitude_std": 0.5, "count": 1, "probability": 0.5, "fill": (1, 2, 3)},
    ),
    (
        augmentation.RandomErasing,
        {"probability": 0.5, "area": (0.25, 0.5), "ratio": (0.5, 2.0), "mean": (0.5,), "std": (0.5,)},
    ),
    (augmentation.MixUpOrCutMix, {"mixup": 0.5, "cutmix": 0.5, "switch_probability": 0.5, "label_smoothing": 0.25}),
    (WarmupCosine, {"peak": 0.5, "total_steps": 10, "warmup_steps": 2, "minimum": 0.25}),
    (AdamW, {"learning_rate": 0.5, "weight_decay": 0.25, "epsilon": 0.5, "ema_warmup": True, "use_ema": True}),
    (AdamW, {"beta_1": 0.5, "ema_momentum": 0.5, "clipnorm": 0.5, "gradient_accumulation_steps": 2}),
]


def scalar(value):
    """A NumPy scalar of a Python number; what is no number stays."""
    kinds = {bool: np.bool_, int: np.int64, float: np.float32}
    return kinds[type(value)](value) if type(value) in kinds else value


def scalars(value):
    return tuple(map(scalar, value)) if isinstance(value, tuple) else scalar(value)


def zero_dimensional(value):
    return np.asarray(value) if isinstance(value, bool | int | float) else scalars(value)


def arrays(value):
    return np.asarray(value) if isinstance(value, tuple) and None not in value else zero_dimensional(value)


KINDS = [scalars, zero_dimensional, arrays]


def converted(kind, arguments):
    return {name: kind(value) for name, value in arguments.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make, arguments", LAYERS + STEPS)
def test_arguments_become_pythons(make, arguments, kind):
    one, expected = make(**converted(kind, arguments)), make(**arguments)
    config = {name: value for name, value in one.get_config().items() if name != "name"}
    assert config == {name: value for name, value in expected.get_config().items() if name != "name"}
    json.dumps(config)
    if isinstance(one, keras.Layer):
        assert one(np.ones((1, 8, 8, 8), "float32")).shape == expected(np.ones((1, 8, 8, 8), "float32")).shape


@pytest.mark.parametrize("kind", KINDS)
def test_models(images, numpy_of, tmp_path, kind):
    model = ConvNeXtClassifier(ConvNeXtBackbone(**converted(kind, BACKBONE)), **converted(kind, HEAD))
    expected = ConvNeXtClassifier(ConvNeXtBackbone(**BACKBONE), **HEAD)
    configs = [{**one.backbone.get_config(), "name": None} for one in (model, expected)]
    assert configs[0] == configs[1]
    json.dumps(model.get_config())
    model.save(tmp_path / "model.keras")
    x = images(2, 16, 16, 3)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy_of(loaded, x), numpy_of(model, x), rtol=0, atol=1e-6)
    model.backbone.freeze_stages(kind(1))
    assert transfer(model, kind(4)).num_classes == 4


def test_the_number_of_classes_of_an_array_of_labels():
    y = np.array([0, 2, 1], "uint8")
    for count in (y.max() + 1, keras.ops.max(keras.ops.convert_to_tensor(y)) + 1):
        model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=count)
        assert type(model.num_classes) is int
        assert model.output.shape == (None, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_recipes_and_data(kind):
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 2**-10, "warmup_epochs": 1, "ema": 0.5, "seed": 3}
    settings |= {"image_size": (8, 8), "unfreeze": (0.5, 1.0), "accumulate": 2, "ema_warmup": True, "workers": 1}
    settings["augmentation"] = Augmentation(
        **converted(kind, {"scale": (0.5, 1.0), "flip_probability": 0.5, "mixup": 0.5})
    )
    recipe = Recipe(source="test", **converted(kind, settings))
    assert recipe == Recipe(source="test", **settings)
    assert recipe.with_settings({"epochs": kind(3)}).with_epochs(kind(4)).at_batch_size(kind(16)).epochs == 4
    RECIPES["digits"].compile(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), kind(5))
    data = load_digits().train
    train, _ = split_validation(data, kind(0.25), seed=kind(1))
    assert len(train) < len(data)
    batches = Batches(data, kind(16), shuffle=kind(True), seed=kind(1), threads=kind(1), group=kind(2))
    assert type(batches.batch_size) is int and batches[0][0].shape == (16, 8, 8, 1)
    augmented = AugmentedBatches(
        data, kind((8, 8)), Augmentation(), kind(16), kind(0.25), kind(1), kind(1), (0.5,), (0.5,), kind(1)
    )
    assert augmented[0][0].shape == (16, 8, 8, 1)
    augmented.close()
    assert ResizeAndCrop(kind(8), kind(8), kind(0.5), kind(False)) == ResizeAndCrop(8, 8, 0.5, False)
    assert preprocessor("convnext_tiny", kind(64)).height == 64


@pytest.mark.parametrize("kind", KINDS)
def test_roadmap_and_profile(kind):
    arguments = {"num_classes": 3, "input_shape": (32, 32, 3), "width_divisor": 8, "drop_path_rate": 0.5}
    model = roadmap.build("inverting_dimensions", **converted(kind, {**arguments, "layer_scale_init_value": 0.5}))
    assert model.output.shape == (None, 3)
    json.dumps(json.loads(model.to_json()))
    assert profile(model, kind((32, 32, 3))).macs == profile(model).macs


WRONG = {int: (2.5, True, "3", np.nan), float: (True, "3", np.nan, np.inf), bool: ("no", 2)}
"""By the type of a right value."""


@pytest.mark.parametrize("make, arguments", [*LAYERS, *STEPS[:-1], (ConvNeXtBackbone, BACKBONE)])
def test_what_cannot_be_meant_is_refused_by_its_name(make, arguments):
    for name, value in arguments.items():
        several, last = (value[:-1], value[-1]) if isinstance(value, tuple) else ((), value)
        if name == "use_ema":
            continue  # Keras's own
        for wrong in WRONG[type(last)]:
            with pytest.raises(ValueError, match=f"`{name}`"):
                make(**{**arguments, name: (*several, wrong) if isinstance(value, tuple) else wrong})


@pytest.mark.parametrize("name, wrong", [("num_classes", wrong) for wrong in (*WRONG[int], -1)])
def test_a_number_of_classes_that_cannot_be_meant(name, wrong):
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}="):
        ConvNeXtClassifier(ConvNeXtBackbone((1,), (8,)), **{name: wrong})


@pytest.mark.parametrize(
    "check, inside, outside",
    [(rate, (0, 0.5, 1 - 2**-20), (1, 1.5, -(2**-20))), (share, (2**-20, 0.5, 1), (0, 1 + 2**-20, -0.5))],
)
def test_rates_have_0_and_shares_have_1(check, inside, outside):
    for value in inside:
        for kind in KINDS:
            found = check("ema", kind(value))
            assert type(found) is float and found == value
    for value in (*outside, *WRONG[float]):
        with pytest.raises(ValueError, match=r"`ema` must .*Received: ema="):
            check("ema", value)
