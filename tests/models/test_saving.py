"""Saving, loading and cloning: on this backend, and from this one to each of the three in a new process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier

VERSIONS = {"v1": {}, "v2": {"use_grn": True, "layer_scale_init_value": None}}
BACKENDS = ["tensorflow", "jax", "torch"]
NEXT = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}
"""Each backend's files are read by another every time, and by all in the slow tests."""


def trained_classifier(version, rng):
    """A small model with a state that is worth keeping: two steps of AdamW with stochastic depth, random weights."""
    backbone = ConvNeXtBackbone(
        (1, 1), (8, 8), kernel_size=3, input_shape=(16, 16, 3), drop_path_rate=0.2, **VERSIONS[version]
    )
    model = ConvNeXtClassifier(backbone, 5, head_init_scale=10.0)
    for weight in model.weights:
        if weight.path.endswith(("layer_scale/gamma", "grn/gamma", "grn/beta", "bias")):
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(rng.uniform(0, 255, size=(4, 16, 16, 3)), np.arange(4), batch_size=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a saved V1 and V2, and images; the models themselves and their outputs by version."""
    folder, rng = tmp_path_factory.mktemp("saved"), np.random.default_rng(0)
    images = rng.uniform(0, 255, size=(3, 16, 16, 3)).astype("float32")
    np.save(folder / "images.npy", images)
    models, outputs = {}, {}
    for version in VERSIONS:
        models[version] = trained_classifier(version, rng)
        models[version].save(folder / f"{version}.keras")
        outputs[version] = models[version].predict(images, verbose=0)
    return folder, models, outputs


@pytest.mark.parametrize(
    "to", [pytest.param(to, marks=() if to == NEXT[keras.backend.backend()] else pytest.mark.slow) for to in BACKENDS]
)
def test_keras_files_pass_between_backends(saved, to):
    if importlib.util.find_spec(to) is None:
        pytest.skip(f"{to} is not installed")
    folder, models, outputs = saved
    script = Path(__file__).with_name("load_saved.py")
    done = subprocess.run(
        [sys.executable, script, folder],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "KERAS_BACKEND": to, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for version, model in models.items():
        assert outputs[version].std() > 0.05, "outputs that would show a difference"
        found = dict(np.load(folder / f"{version}_{to}.npz"))
        np.testing.assert_allclose(found.pop("outputs"), outputs[version], rtol=0, atol=1e-5, err_msg=version)
        assert found.pop("jit_compile") == (to == "jax"), "compiled as suits the backend that loads"
        variables = model.optimizer.variables
        assert len(found) == len(variables) > 2 * len(model.trainable_weights)
        for variable, (path, value) in zip(variables, sorted(found.items()), strict=True):
            expected = keras.ops.convert_to_numpy(variable.value)
            np.testing.assert_array_equal(value, expected, err_msg=f"{version} {path}")


def test_training_goes_on_after_loading(saved):
    folder, models, _ = saved
    loaded = keras.saving.load_model(folder / "v2.keras")
    assert type(loaded) is ConvNeXtClassifier
    assert type(loaded.backbone) is ConvNeXtBackbone
    assert loaded.get_config() == models["v2"].get_config()
    assert int(loaded.optimizer.iterations) == 2
    x, y = np.load(folder / "images.npy"), np.arange(3)
    assert np.isfinite(loaded.train_on_batch(x, y))


@pytest.mark.parametrize("version", VERSIONS)
def test_weights_files(saved, numpy_of, tmp_path, version):
    folder, models, outputs = saved
    models[version].save_weights(tmp_path / "some.weights.h5")
    again = ConvNeXtClassifier.from_config(models[version].get_config())
    again.load_weights(tmp_path / "some.weights.h5")
    np.testing.assert_allclose(numpy_of(again, np.load(folder / "images.npy")), outputs[version], rtol=0, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("copy", [keras.models.clone_model, lambda model: type(model).from_config(model.get_config())])
def test_copies(saved, numpy_of, version, copy):
    """`clone_model` makes a plain functional model, which has the layers and no backbone beside them."""
    folder, models, outputs = saved
    model = models[version]
    clone = copy(model)
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in model.weights}
    assert [weight.path for weight in clone.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy_of(clone, np.load(folder / "images.npy")), outputs[version], rtol=0, atol=1e-5)


def test_a_saved_backbone_keeps_pyramid_and_frozen_stages(small_backbone, randomize, images, numpy_of, tmp_path):
    arguments = {"depths": (1, 1), "dims": (8, 16), "input_shape": (16, 16, 1), "mean": 0.5, "std": (0.25,)}
    backbone = randomize(small_backbone("v2", **arguments, level_norm=True, name="mine"))
    backbone.freeze_stages(1)
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    assert loaded.get_config() == backbone.get_config()
    assert loaded.pyramid_level_inputs == backbone.pyramid_level_inputs
    trainable = [[weight.path for weight in one.trainable_weights] for one in (loaded, backbone)]
    assert trainable[0] == trainable[1]
    x = images(2, 16, 16, 1)
    outputs, expected = (numpy_of(keras.Model(one.input, one.pyramid_outputs), x) for one in (loaded, backbone))
    for level, values in expected.items():
        np.testing.assert_allclose(outputs[level], values, rtol=0, atol=1e-5, err_msg=level)
