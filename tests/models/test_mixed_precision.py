"""Mixed precision: float32 logits, nothing infinite at large inputs, and training that moves the weights."""

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

POLICIES = ["mixed_float16", "mixed_bfloat16"]
NETWORKS = {
    "v1": {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3},
    "v2": {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3, "use_grn": True, "layer_scale_init_value": None},
    "isotropic": {
        "depths": (2,),
        "dims": (16,),
        "kernel_size": 3,
        "stem_patch_size": 16,
        "stem_norm": False,
        "layer_scale_init_value": None,
    },
}


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


@pytest.mark.parametrize("include_preprocessing", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("policy", POLICIES)
def test_logits_are_float32_and_finite_at_large_inputs(rng, numpy_of, policy, name, include_preprocessing):
    backbone = ConvNeXtBackbone(
        **NETWORKS[name], input_shape=(32, 32, 3), include_preprocessing=include_preprocessing, dtype=policy
    )
    model = ConvNeXtClassifier(backbone, 5)
    x = 1e4 * np.stack([np.ones((32, 32, 3)), rng.choice([-1, 1], size=(32, 32, 3))]).astype("float32")
    logits = numpy_of(model, x)
    assert dtype_of(model.output) == str(logits.dtype) == "float32"
    assert np.isfinite(logits).all()
    assert logits.std() > 0


@pytest.mark.parametrize(("policy", "name"), [("mixed_float16", "v1"), ("mixed_bfloat16", "v2")])
def test_training_is_finite_and_moves_every_kernel(with_policy, images, policy, name):
    with_policy(policy)
    model = ConvNeXtClassifier(ConvNeXtBackbone(**NETWORKS[name], input_shape=(16, 16, 3), drop_path_rate=0.1), 5)
    before = model.get_weights()
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(images(8, 16, 16, 3), np.arange(8) % 5, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all(), weight.path
        assert weight.name != "kernel" or (old != new).any(), weight.path


@pytest.mark.parametrize("policy", POLICIES)
def test_the_global_policy_and_the_argument_do_the_same(with_policy, policy):
    by_argument = ConvNeXtClassifier(ConvNeXtBackbone(**NETWORKS["v2"], dtype=policy), 5)
    with_policy(policy)
    by_policy = ConvNeXtClassifier(ConvNeXtBackbone(**NETWORKS["v2"]), 5)
    for one, other in zip(by_argument._flatten_layers(), by_policy._flatten_layers(), strict=True):
        if one.weights and not isinstance(one, keras.Model):
            assert one.dtype_policy == other.dtype_policy, one.path


def test_the_loss_is_scaled_under_float16_given_as_an_argument():
    """Gradients under a layer scale of 1e-6 are below what float16 can hold."""
    model = ConvNeXtClassifier(ConvNeXtBackbone(**NETWORKS["v1"], dtype="mixed_float16"), 5)
    model.compile("sgd", "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("changes", [{"data_format": "channels_first"}, {"level_norm": True}])
def test_the_argument_rules_the_type_of_every_output(changes, policy):
    plain = ConvNeXtBackbone(**NETWORKS["v1"], dtype=policy)
    changed = ConvNeXtBackbone(**NETWORKS["v1"], dtype=policy, **changes)
    expected = {level: dtype_of(tensor) for level, tensor in plain.pyramid_outputs.items()}
    assert {level: dtype_of(tensor) for level, tensor in changed.pyramid_outputs.items()} == expected
    assert dtype_of(changed.output) == dtype_of(plain.output)


def test_float32_given_as_an_argument_is_float32_throughout(with_policy, randomize, images, numpy_of):
    """Also where the global policy is another: no layer in between may round."""
    arguments = {**NETWORKS["v1"], "data_format": "channels_first", "input_shape": (3, 16, 16), "level_norm": True}
    x = images(2, 3, 16, 16)
    expected = randomize(ConvNeXtBackbone(**arguments))
    with_policy("mixed_float16")
    backbone = ConvNeXtBackbone(**arguments, dtype="float32")
    backbone.set_weights(expected.get_weights())
    np.testing.assert_allclose(numpy_of(backbone, x), numpy_of(expected, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("policy", [*POLICIES, "float16", "float64"])
def test_images_are_normalized_in_float32_at_least(policy, numpy_of):
    """bfloat16 has no 129.5, and float16 no variance of (255 * 4)**2."""
    backbone = ConvNeXtBackbone(**NETWORKS["v1"], input_shape=(8, 8, 3), mean=0.5, std=4.0, dtype=policy)
    normalized = keras.Model(backbone.input, backbone.get_layer("normalization").output)
    x = np.full((1, 8, 8, 3), 129.5, "float32")
    np.testing.assert_allclose(numpy_of(normalized, x), (x / 255 - 0.5) / 4, rtol=1e-4)
    assert np.isfinite(numpy_of(backbone, x)).all()
