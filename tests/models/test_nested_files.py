"""Files of version 0.1, in which a classifier has its backbone as one nested layer; `nested_files/` holds some.

v1.keras: two steps of AdamW with averages, the first stage frozen, norms of the levels, a hidden layer in the head.
v2.keras, v2.weights.h5: channels first, the head's norm before pooling. outer: a classifier within a Sequential model.
NAME.npz: images, the outputs for them, and of the optimizer the iterations and the sum of each variable's sizes.
"""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext.models import load_model

FOLDER = Path(__file__).with_name("nested_files")
DEEPER = {"v1": 15, "v2": 0, "outer": 0}


def check_outputs(model, name):
    found = np.load(FOLDER / f"{name}.npz")
    np.testing.assert_allclose(model.predict(found["images"], verbose=0), found["outputs"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "frozen"), DEEPER.items())
def test_a_keras_file_loads_and_is_saved_flat(name, frozen, tmp_path):
    model = keras.saving.load_model(FOLDER / f"{name}.keras")
    check_outputs(model, name)
    assert len(model.weights) - len(model.trainable_weights) == frozen
    model.save(tmp_path / "flat.keras")
    check_outputs(keras.saving.load_model(tmp_path / "flat.keras"), name)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_state_of_the_optimizer_is_loaded(name):
    expected, model = np.load(FOLDER / f"{name}.npz"), load_model(FOLDER / f"{name}.keras")
    sums = [np.abs(keras.ops.convert_to_numpy(variable.value)).sum() for variable in model.optimizer.variables]
    np.testing.assert_allclose(sums, expected["moments"], rtol=1e-5)
    assert int(model.optimizer.iterations) == expected["iterations"] == 2


@pytest.mark.parametrize("name", ["v2", "outer"])
def test_a_file_of_weights_loads_and_then_a_flat_one(name, tmp_path):
    model = keras.saving.load_model(FOLDER / f"{name}.keras")
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    model.load_weights(FOLDER / f"{name}.weights.h5")
    check_outputs(model, name)
    model.save_weights(tmp_path / "flat.weights.h5")
    model.load_weights(tmp_path / "flat.weights.h5")
    check_outputs(model, name)


def test_layers_are_the_graphs_after_a_nested_file_was_read():
    model = load_model(FOLDER / "v1.keras")
    assert model.get_layer("stage_1_block_0") in model.layers
