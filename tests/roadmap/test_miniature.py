"""The path in miniature: its settings, and what is summarized. Its trainings are tested by tests/cli/test_roadmap*."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_convnext.roadmap.miniature import TRAINED_STEPS, Miniature, miniature_recipe, summarize
from keras_convnext.roadmap.rank_correlation import rank_correlation
from keras_convnext.training import RECIPES


def test_settings_come_back_from_json():
    experiment = Miniature(steps=("gelu", "bn_to_ln", "gelu"), seeds=2, recipe=miniature_recipe(48, epochs=5))
    assert experiment.steps == ("gelu", "bn_to_ln")
    config = json.loads(json.dumps(experiment.get_config()))
    assert Miniature.from_config(config) == experiment
    assert Miniature.from_config(config).with_epochs(7).recipe.epochs == 7
    assert Miniature.from_config({**config, "skip_unreadable": True}).skip_unreadable is True
    del config["skip_unreadable"]  # version 0.2.0 had none
    assert Miniature.from_config(config) == experiment


def test_the_config_of_version_0_2_is_read():
    """In a folder of today's `roadmap resume`, and of `roadmap --resume` before."""
    golden = Path(__file__).parents[1] / "training" / "golden" / "recipes_0_2_0.json"
    recipe = {**json.loads(golden.read_text())["small_images"], "image_size": [32, 32]}
    config = {"data": "/images.npz", "regime": "resnet200", "steps": ["gelu"], "seeds": 1, "width_divisor": 4}
    experiment = Miniature.from_config({**config, "recipe": recipe})
    assert (experiment.steps, experiment.regime, experiment.recipe) == (
        ("gelu",),
        "resnet200",
        replace(RECIPES["small_images"], image_size=(32, 32)),
    )


def test_the_path_of_data_holds_in_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Miniature(data="images.npz").get_config()["data"] == str((tmp_path / "images.npz").resolve())
    assert Miniature(data="tfds:mnist").get_config()["data"] == "tfds:mnist"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": ("resnet",)}, "`steps` must be some of resnet_enhanced, .* Received: resnet$"),
        ({"steps": ()}, "`steps` must be some of .* Received: none"),
        ({"regime": "resnet152"}, "Unknown regime 'resnet152'"),
        ({"width_divisor": 7}, "`width_divisor` must divide the width, 64"),
        ({"seeds": 0}, "`seeds`"),
        ({"recipe": miniature_recipe(16)}, "`size` must be at least 32 pixels. Received: \\(16, 16\\)"),
        ({"recipe": RECIPES["digits"]}, "`size` must be at least 32 pixels. Received: None"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Miniature(**settings)


@pytest.mark.parametrize("config", [{}, [], 3, {"data": "digits", "recipe": {}}])
def test_a_config_of_others_is_refused(config):
    with pytest.raises(ValueError, match=r"A miniature of the roadmap needs data, regime, .* Missing: .*regime"):
        Miniature.from_config(config)


def test_summary_has_the_papers_accuracy_beside():
    steps = TRAINED_STEPS[:4]
    results = summarize(
        {step: [(0.5 + 0.1 * n, 100.0), (0.6 + 0.1 * n, 300.0)] for n, step in enumerate(steps)}, "resnet50"
    )
    row = results["steps"][0]
    assert (row["mean"], row["top1"], row["images_per_second"]) == (pytest.approx(0.55), 78.82, 200.0)
    assert row["standard_deviation"] == pytest.approx(0.1 / np.sqrt(2))
    assert results["rank_correlation"] == rank_correlation(range(4), [78.82, 79.36, 79.51, 78.28])[0]
    assert summarize({steps[0]: [(0.5, 1.0)]}, "resnet50")["rank_correlation"] is None
    equal = summarize({step: [(0.1, 1.0)] for step in steps}, "resnet50")
    assert (equal["rank_correlation"], equal["interval"]) == (None, None), "chance says nothing"
