"""Several processes train on shards, of which each reads its own share of each batch."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import load_digits, write_shards
from keras_convnext.models import load_model
from keras_convnext.training import Run

pytestmark = pytest.mark.slow

SHAPE = {"tensorflow": (1, 2), "jax": (2, 1), "torch": (2, 1)}[keras.backend.backend()]


@pytest.fixture
def settings(tmp_path):
    """Settings of a training on shards of 48 digits to train on, 12 to validate and 6 to test with."""
    digits = load_digits().train
    chosen = np.flatnonzero(digits.labels < 2)
    for part, places in (("train", chosen[:48]), ("val", chosen[48:60]), ("test", chosen[60:66])):
        for place in places:
            folder = tmp_path / "digits" / part / str(digits.labels[place])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(digits.pixels[place, ..., 0]).save(folder / f"{place}.png")
    write_shards(tmp_path / "digits", tmp_path / "shards", shard_bytes=20_000, verbose=False)
    recipe = {
        **{"source": "tests", "epochs": 1, "batch_size": 16, "learning_rate": 2e-3, "warmup_epochs": 0.2},
        **{"drop_path_rate": 0.0, "augmentation": {"scale": [0.5, 1.0]}, "workers": 1, "image_size": [8, 8]},
    }
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"data": str(tmp_path / "shards"), "variant": "tiny", "recipe": recipe}))
    return path


def test_they_end_with_the_weights_of_one(launch, outputs_of, settings, tmp_path):
    runs = []
    for shape, options in (((1, 1), ()), (SHAPE, ("--distribute", "data"))):
        runs.append(Run(tmp_path / f"run-{len(runs)}"))
        outputs_of(launch(*shape, "--settings", settings, "--output", runs[-1].path, *options))
    alone, together = (load_model(run.last_state / "model.keras").get_weights() for run in runs)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-5)
    assert runs[1].metrics["test_accuracy"] == runs[0].metrics["test_accuracy"]
