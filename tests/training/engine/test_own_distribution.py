"""`fit` where the user has set a distribution of Keras."""

import os
import subprocess
import sys

import keras
import pytest

PROGRAM = """
import sys, keras
from keras_convnext import RECIPES, ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.data import load_digits
from keras_convnext.training import create_run, fit

keras.distribution.set_distribution(keras.distribution.DataParallel())
images = load_digits()
data = type(images)(images.train.take(range(64)), images.train.take(range(64, 101)), images.test.take(range(5)))
backbone = ConvNeXtBackbone(depths=(1,), dims=(8,), stem_patch_size=1, input_shape=(8, 8, 1))
model = ConvNeXtClassifier(backbone, num_classes=10)
recipe = RECIPES["digits"].with_settings({"epochs": 1, "batch_size": 16, "warmup_epochs": 0.5})
metrics = fit(model, data, recipe, create_run(sys.argv[1], model, data, recipe), verbose=0)
print(len(keras.distribution.list_devices()), metrics["epochs"], sorted(metrics))
"""


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution works on JAX")
def test_fit_evaluates_odd_numbers_of_images(tmp_path):
    """Keras's own `fit` ends with an error at a batch that the devices cannot share."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, tmp_path / "run"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.startswith("2 1 [") and "test_accuracy" in ran.stdout
