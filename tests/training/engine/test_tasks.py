"""Detection and segmentation on several devices."""

import json
import math

import keras
import pytest

from keras_convnext.data import digit_scenes
from keras_convnext.training import Run

SHAPE = {"tensorflow": (1, 2), "jax": (2, 1), "torch": (2, 1)}[keras.backend.backend()]
SIDE = 64


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, write_coco):
    """Nine images to train on, in batches of four, and five to validate on, which two processes do not share evenly."""
    folder = tmp_path_factory.mktemp("scenes")
    data = digit_scenes(count=50, size=SIDE)
    write_coco(folder, "train", data.train.take(range(9)))
    write_coco(folder, "validation", data.validation)
    write_coco(folder, "test", data.test.take(range(2)))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_an_epoch_has_the_scores_of_one_device(task, launch, outputs_of, scenes, tmp_path, backend):
    """On JAX they are equal. Elsewhere batch norms and the numbers of objects in a loss are those of a share."""
    recipe = {
        **{"source": "tests", "epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "warmup_epochs": 0.5},
        **{"label_smoothing": 0.0, "ema": 0.5, "augmentation": [{"class": "RandomFlip"}]},
    }
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"data": str(scenes), "task": task, "variant": "tiny4", "recipe": recipe}))
    rows = []
    for place, (shape, options) in enumerate((((1, 1), ()), (SHAPE, ("--distribute", "data")))):
        path = tmp_path / f"run-{place}"
        outputs_of(launch(*shape, "--settings", settings, "--size", SIDE, "--output", path, *options))
        rows.append([{name: float(value) for name, value in row.items()} for row in Run(path).read_csv("history.csv")])
    for alone, together in zip(*rows, strict=True):
        assert alone.keys() == together.keys()
        for name in set(alone) - {"seconds"}:
            assert math.isfinite(together[name])
            is_mean_of_batches = name.startswith("val") and name.endswith("loss")  # of other batches
            if backend == "jax" and not is_mean_of_batches:
                assert together[name] == pytest.approx(alone[name], abs=2e-3), name
