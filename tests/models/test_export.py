"""The model as a SavedModel. Collected on TensorFlow and JAX: on torch Keras needs torch_xla for it."""

import numpy as np
import pytest
import tensorflow as tf

CASES = {
    "fixed sizes": {"input_shape": (16, 16, 3)},
    "free sizes": {},
    "recomputing": {"input_shape": (16, 16, 3), "remat": True},
    "channels first": {"input_shape": (3, None, None), "data_format": "channels_first"},
}
SLOW = ("fixed sizes", "recomputing")


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow if case in SLOW else ()) for case in CASES])
def test_export_to_a_saved_model(small_classifier, randomize, images, tmp_path, version, case):
    model = randomize(small_classifier(version, depths=(1, 1), dims=(8, 16), **CASES[case]), deviation=0.1)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")  # kept: its function's variables go with it
    x = images(2, 3, 16, 16) if case == "channels first" else images(2, 16, 16, 3)
    expected = model.predict(x, verbose=0)
    assert expected.std() > 0.05
    np.testing.assert_allclose(loaded.serve(tf.constant(x)).numpy(), expected, rtol=1e-5, atol=1e-5)
