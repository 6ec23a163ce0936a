"""A Keras backend without a set of kernels runs on the reference."""

import numpy as np
import pytest

pytestmark = pytest.mark.once


def test_numpy_predicts_alike(run_python, small_classifier, randomize, images, tmp_path, version):
    model = randomize(small_classifier(version, input_shape=(32, 32, 3)), deviation=0.1)
    x = images(2, 32, 32, 3)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    run_python(
        "import numpy as np\n"
        "from keras_convnext import kernels\n"
        "from keras_convnext.kernels import reference\n"
        "from keras_convnext.models import load_model\n"
        "assert kernels.chosen is reference\n"
        f"model = load_model({str(tmp_path / 'model.keras')!r})\n"
        f"y = model.predict(np.load({str(tmp_path / 'x.npy')!r}), verbose=0)\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, y)\n",
        "numpy",
    )
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
