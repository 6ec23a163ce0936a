"""ConvNeXtClassifier: its head in NumPy, its arguments, and that it learns."""

import math

import keras
import numpy as np
import pytest

from keras_convnext import VARIANTS, ConvNeXtBackbone, ConvNeXtClassifier

TWO_STAGES = {"depths": (1, 1), "dims": (8, 16), "input_shape": (16, 16, 3)}


def layer_norm(x, gamma, beta, epsilon):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + epsilon) * gamma + beta


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"num_classes": 0},
        {"num_classes": 0, "head_norm_first": True},
        {"head_norm_first": True},
        {"head_hidden_size": 12},
        {"num_classes": 0, "head_hidden_size": 12},
        {"activation": "softmax"},
        {"head_hidden_size": 12, "head_norm_first": True, "activation": "softmax"},
    ],
    ids=lambda head: " ".join(head) or "default",
)
def test_the_head_is_the_formula(small_backbone, randomize, images, numpy_of, head):
    head = {"num_classes": 5, **head}
    backbone = small_backbone(depths=(1,), dims=(16,), input_shape=(16, 16, 3), norm_eps=1e-3)
    model = randomize(ConvNeXtClassifier(backbone, **head))
    x = images(3, 16, 16, 3)
    y = numpy_of(backbone, x).astype("float64")
    weights = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in model.weights}
    norm = weights["head_norm/gamma"], weights["head_norm/beta"], 1e-3
    y = (
        layer_norm(y, *norm).mean(axis=(1, 2))
        if head.get("head_norm_first")
        else layer_norm(y.mean(axis=(1, 2)), *norm)
    )
    if "head_hidden_size" in head:
        y = gelu(y @ weights["head_hidden/kernel"] + weights["head_hidden/bias"])
    if head["num_classes"]:
        y = y @ weights["head/kernel"] + weights["head/bias"]
    if "activation" in head:
        y = softmax(y)
    assert y.std() > 0.01
    np.testing.assert_allclose(numpy_of(model, x), y, rtol=1e-3, atol=1e-3)


def test_no_classes_means_no_linear_layer(small_classifier):
    assert not [weight.path for weight in small_classifier(num_classes=0).weights if weight.path.startswith("head/")]


def test_refuses_a_negative_number_of_classes(small_classifier):
    with pytest.raises(ValueError, match=r"must not be negative\. Received: num_classes=-1"):
        small_classifier(num_classes=-1)


def test_from_preset_splits_its_arguments():
    model = ConvNeXtClassifier.from_preset(
        "convnextv2_atto",
        num_classes=7,
        head_init_scale=0.5,
        activation="sigmoid",
        name="mine",
        head_hidden_size=6,
        head_norm_first=True,
        drop_path_rate=0.2,
        input_shape=(32, 32, 1),
    )
    assert (model.name, model.num_classes, model.head_init_scale, model.activation) == ("mine", 7, 0.5, "sigmoid")
    assert (model.head_hidden_size, model.head_norm_first) == (6, True)
    assert (model.backbone.drop_path_rate, model.backbone.use_grn, model.backbone.name) == (
        0.2,
        True,
        "convnextv2_atto",
    )
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 1), (None, 7))


@pytest.mark.parametrize("name", ["convnext_tiny_hnf", "convnext_atto"])
def test_from_preset_takes_the_head_of_the_variant(name):
    model = ConvNeXtClassifier.from_preset(name, num_classes=2)
    variant = VARIANTS[name]
    assert (model.head_norm_first, model.head_hidden_size) == (variant.head_norm_first, variant.head_hidden_size)
    assert model.name == f"{name}_classifier"


def test_from_preset_refuses_an_argument_that_nobody_takes():
    with pytest.raises((TypeError, ValueError), match="drop_path_rat"):
        ConvNeXtClassifier.from_preset("convnext_atto", drop_path_rat=0.2)


def test_the_configuration_has_every_argument(small_backbone):
    arguments = {
        "num_classes": 4,
        "head_init_scale": 0.5,
        "activation": "softmax",
        "head_norm_first": True,
        "head_hidden_size": 6,
        "drop_rate": 0.2,
        "global_pool": "max",
        "overrides": {"head": {"lora_rank": 2, "lora_alpha": 2}},
        "name": "some_name",
    }
    model = ConvNeXtClassifier(small_backbone("v2", **TWO_STAGES), **arguments)
    config = model.get_config()
    assert {key: config[key] for key in arguments} == arguments
    known = {*arguments, "trainable", "frozen_layers", "overrides", "backbone"}
    assert set(config) == known | {"trainability"}  # LoRA trains in the place of the kernel
    again = ConvNeXtClassifier.from_config(config)
    assert again.get_config() == config
    assert isinstance(again.backbone, ConvNeXtBackbone)
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_learns_to_tell_two_colors(version, small_backbone, rng):
    """In twelve steps from the initial weights, with stochastic depth on."""
    labels = np.arange(32) % 2
    x = rng.uniform(0, 150, size=(32, 16, 16, 3))
    x[labels == 1, ..., 0] += 100
    model = ConvNeXtClassifier(small_backbone(version, **TWO_STAGES, drop_path_rate=0.2), 2)
    model.compile(keras.optimizers.AdamW(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(x, labels, batch_size=16, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    np.testing.assert_array_equal(model.predict(x, batch_size=16, verbose=0).argmax(-1), labels)


@pytest.mark.parametrize("model", [ConvNeXtClassifier, ConvNeXtBackbone])
@pytest.mark.parametrize(
    ("name", "hint"),
    [("stem_patch_sice", " Did you mean `stem_patch_size`?"), ("xyz", "")],
)
def test_an_unknown_argument_is_named_with_the_nearest_one(model, name, hint):
    with pytest.raises(TypeError) as raised:
        model.from_preset("convnext_mini", **{name: 1})
    assert str(raised.value) == f"{model.__name__}.from_preset() got an unexpected argument `{name}`.{hint}"


def test_an_unknown_argument_of_the_classifier_is_named():
    with pytest.raises(TypeError, match="Did you mean `num_classes`"):
        ConvNeXtClassifier.from_preset("convnext_mini", num_clases=3)
