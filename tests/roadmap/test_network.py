"""The networks of the steps: trained and saved; the first against torchvision's, the last against `convnext_tiny`."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, roadmap
from keras_convnext.extras import import_torchvision
from keras_convnext.profiling import profile

SHAPES = ("resnet", "depthwise_conv", "inverting_dimensions", "gelu", "fewer_norms", "separate_downsampling")
"""Steps whose blocks differ in what they are made of."""

SMALL = {"num_classes": 3, "input_shape": (32, 32, 3), "width_divisor": 8}


def randomized(model, rng):
    """So that every part shows in the output: norms that are no identity, moving averages, biases."""
    for weight in model.weights:
        if "normalization/" in weight.path or weight.dtype.startswith("int"):
            continue
        scale = 1 / np.sqrt(np.prod(weight.shape[:-1])) if weight.name == "kernel" else 0.1
        start = 1.0 if weight.name in ("gamma", "moving_variance") else 0.0
        weight.assign((start + scale * rng.uniform(-1.7, 1.7, size=weight.shape)).astype("float32"))


def trained_and_loaded(model, rng, path):
    """Fits a batch, saves, loads; the weights must have moved, and both must give the same."""
    images, labels = rng.uniform(0, 255, (4, 32, 32, 3)).astype("float32"), np.array([0, 1, 2, 0])
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(images, labels, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, model.trainable_weights, strict=True)]
    assert all(moved), [w.path for w, has_moved in zip(model.trainable_weights, moved, strict=True) if not has_moved]
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(model.predict(images, verbose=0), loaded.predict(images, verbose=0))


@pytest.mark.parametrize(
    "step",
    [SHAPES[0], *(pytest.param(step, marks=pytest.mark.once) for step in SHAPES[1:-1]), SHAPES[-1]],
)
def test_shallow_ones_train_and_come_back_from_a_file(step, rng, tmp_path):
    network = replace(roadmap.describe(step), depths=(1, 1))
    model = roadmap.build(network, drop_path_rate=0.1, layer_scale_init_value=0.5, **SMALL)
    trained_and_loaded(model, rng, tmp_path / "model.keras")


@pytest.mark.slow
@pytest.mark.parametrize("step", roadmap.STEPS)
def test_all_train_and_come_back_from_a_file(step, rng, tmp_path):
    trained_and_loaded(roadmap.build(step, **SMALL), rng, tmp_path / "model.keras")


def name_in_torchvision(path):
    """`stage_0_block_1_pointwise_conv_1_norm/gamma` -> `layer1.1.bn1.weight`."""
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    owner, _, weight = path.rpartition("/")
    weight = {**names, "kernel": "weight"}.get(weight, weight)
    if owner.startswith("stem"):
        return f"{ {'stem_conv': 'conv1', 'stem_norm': 'bn1'}[owner] }.{weight}"
    if owner == "head":
        return f"fc.{weight}"
    _, stage, _, block, part = owner.split("_", 4)
    kind = "bn" if part.endswith("_norm") else "conv"
    number = {"pointwise_conv_1": 1, "conv": 2, "pointwise_conv_2": 3}.get(part.removesuffix("_norm"))
    name = f"{kind}{number}" if number else f"downsample.{1 if kind == 'bn' else 0}"
    return f"layer{int(stage) + 1}.{block}.{name}.{weight}"


def test_the_first_step_is_torchvisions_resnet50(rng, numpy_of):
    torchvision = import_torchvision()
    import torch

    model = roadmap.build("resnet", num_classes=10, input_shape=(64, 96, 3), include_preprocessing=False)
    randomized(model, rng)
    peer = torchvision.models.resnet50(num_classes=10).eval()
    state = {}
    for weight in model.weights:
        value = weight.numpy()
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
        state[name_in_torchvision(weight.path)] = torch.tensor(np.ascontiguousarray(value))
    missing = peer.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    images = rng.normal(size=(2, 64, 96, 3)).astype("float32")
    with torch.no_grad():
        expected = peer(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(numpy_of(model, images), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.once
@pytest.mark.parametrize(
    ("regime", "variant"),
    [("resnet50", "convnext_tiny"), pytest.param("resnet200", "convnext_base", marks=pytest.mark.slow)],
)
def test_the_last_step_is_convnext(regime, variant, rng, numpy_of):
    arguments = {"num_classes": 10, "input_shape": (64, 64, 3)}
    model = roadmap.build("separate_downsampling", regime, layer_scale_init_value=1e-6, **arguments)
    convnext = ConvNeXtClassifier.from_preset(variant, **arguments)
    randomized(convnext, rng)
    theirs = {weight.path: weight for weight in convnext.weights}
    paths = [roadmap.convnext_path(weight.path) for weight in model.weights]
    assert sorted(paths) == sorted(theirs)
    for weight, path in zip(model.weights, paths, strict=True):
        value = theirs[path].numpy()
        weight.assign(value.reshape(weight.shape))
    images = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    expected = numpy_of(convnext, images)
    np.testing.assert_allclose(numpy_of(model, images), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width_divisor": 7}, "must divide the width, 64, without remainder. Received: 7"),
        ({"width_divisor": 0}, "must divide the width"),
        ({"input_shape": (16, 32, 3)}, "32 pixels or more"),
        ({"input_shape": (32, 32)}, r"must be \(height, width, channels\)"),
        ({"num_classes": 0}, "1 or more"),
        ({"drop_path_rate": 1.0}, "below 1"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        roadmap.build("resnet", **arguments)


@pytest.mark.once
@pytest.mark.parametrize("step", SHAPES)
def test_images_are_channels_last_whatever_keras_json_says(step, channels_first_globally):
    counts = profile(roadmap.build(step, **SMALL))
    keras.config.set_image_data_format("channels_last")
    expected = profile(roadmap.build(step, **SMALL))
    assert (counts.params, counts.macs) == (expected.params, expected.macs)


@pytest.mark.once
def test_images_of_any_size_and_one_channel():
    model = roadmap.build("bn_to_ln", num_classes=3, input_shape=(None, None, 1), width_divisor=8)
    assert tuple(model(np.zeros((1, 40, 64, 1), "float32")).shape) == (1, 3)
