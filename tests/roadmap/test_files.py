"""Files of version 0.2, which had the roadmap under `models`: they load, and compute what they computed.

Each `.keras` file in `files_of_0_2/` has two blocks of a step's network, with drop path and layer scale, after two
steps of AdamW. NAME.npz: images, the outputs for them, and the optimizer's iterations and the sum over the absolute
values of each of its variables.
"""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import roadmap

FOLDER = Path(__file__).with_name("files_of_0_2")


@pytest.mark.parametrize("step", ["fewer_activations", "separate_downsampling"])
def test_a_file_of_0_2_loads(step):
    assert step in roadmap.STEPS
    model, expected = keras.saving.load_model(FOLDER / f"{step}.keras"), np.load(FOLDER / f"{step}.npz")
    outputs = model.predict(expected["images"], verbose=0)
    np.testing.assert_allclose(outputs, expected["outputs"], rtol=0, atol=1e-5)
    assert int(model.optimizer.iterations) == expected["iterations"] == 2
    sums = [np.abs(keras.ops.convert_to_numpy(variable.value)).sum() for variable in model.optimizer.variables]
    np.testing.assert_allclose(sums, expected["moments"], rtol=1e-5)
