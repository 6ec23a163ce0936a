"""Augmented batches of every published recipe are those of version 0.2.0, to the bit.

`golden/augmented_batches.json` holds hashes of what version 0.2.0 made of the images below: two batches of epoch 0, and
two of epoch 3.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_convnext import RECIPES
from keras_convnext.data import Images, augmented
from keras_convnext.data.augment_workers import AugmentThreads
from keras_convnext.training.dense_recipes import DENSE_RECIPES

GOLDEN = json.loads((Path(__file__).parent / "golden" / "augmented_batches.json").read_text())


@pytest.fixture
def in_threads(monkeypatch):
    """Augments in threads of this process, which start at once."""
    monkeypatch.setattr(augmented, "start_workers", lambda count, steps: AugmentThreads(count))


def patterns(channels):
    """Twelve images of four classes: gradients, each with a rectangle inverted."""
    rows, columns, numbers = np.ogrid[:40, :48, :12]
    planes = [(rows * (5 + c) + columns * (3 + 2 * c) + numbers * 37) % 256 for c in range(channels)]
    pixels = np.stack([plane.transpose(2, 0, 1) for plane in planes], -1).astype("uint8")
    pixels[:, 10:20, 12:30] = 255 - pixels[:, 10:20, 12:30]
    return Images(pixels, np.arange(12) % 4, tuple("abcd"))


def digests(recipe, channels=3, **statistics):
    recipe = replace(recipe, batch_size=6, accumulate=1, image_size=(24, 20), workers=2, seed=5)
    batches = recipe.dataset(patterns(channels), **statistics)
    found = []
    for epoch in (0, 3):
        batches.epoch = epoch
        found += [batches[index] for index in range(len(batches))]
    batches.close()
    return {"pixels": [sha(pixels) for pixels, _ in found], "labels": [sha(labels) for _, labels in found]}


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


CASES = [case for case in GOLDEN if "," not in case]


def recipe_of(case):
    name, _, variant = case.partition("/")
    return RECIPES[name].for_variant(variant) if variant else RECIPES[name]


def test_every_augmentation_is_among_the_cases():
    of_images = RECIPES.keys() - DENSE_RECIPES.keys()
    augmented_ones = {name for name in of_images if RECIPES[name].augmentation is not None}
    others = {
        f"{name}/{variant}"
        for name, recipe in RECIPES.items()
        for variant, settings in recipe.variants.items()
        if "augmentation" in settings
    }
    assert set(CASES) == augmented_ones | others


@pytest.mark.usefixtures("in_threads")
@pytest.mark.parametrize("case", CASES)
def test_batches_are_those_of_version_0_2_0(case):
    assert digests(recipe_of(case)) == GOLDEN[case]


def test_in_processes_too():
    assert digests(RECIPES["in1k_from_scratch"]) == GOLDEN["in1k_from_scratch"]


@pytest.mark.usefixtures("in_threads")
def test_grey_images():
    assert digests(RECIPES["in1k_from_scratch"], 1) == GOLDEN["in1k_from_scratch, grey"]


@pytest.mark.usefixtures("in_threads")
def test_a_model_that_normalizes_otherwise():
    found = digests(RECIPES["in1k_from_scratch"], mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    assert found == GOLDEN["in1k_from_scratch, own mean and std"]
