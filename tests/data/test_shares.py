"""Shares of batches, for processes that train together: their images are those of the whole batches."""

import numpy as np
import pytest

from keras_convnext.data import AnnotatedBatches, AugmentedBatches, Batches, digit_scenes, load_digits
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import RandomFlip

pytestmark = pytest.mark.once


def batches_of(kind):
    if kind == "annotated":
        images = digit_scenes(count=20, size=32).train
        return AnnotatedBatches(images, 8, (32, 32), shuffle=True, seed=3, target="boxes")
    images = load_digits().train.take(range(40))
    if kind == "plain":
        return Batches(images, 8, shuffle=True, seed=3)
    augmentation = Augmentation() if kind == "mixed" else Augmentation([RandomFlip()])
    return AugmentedBatches(images, (8, 8), augmentation, 8, seed=3, workers=1)


def rows(pixels, targets):
    """A row of numbers per image, with its target, so that images can be compared in any order."""
    targets = targets["boxes"] if isinstance(targets, dict) else targets
    flat = np.concatenate([pixels.reshape(len(pixels), -1), targets.reshape(len(targets), -1)], axis=1)
    return flat[np.lexsort(flat.T)]


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *[("mixed", 2), ("annotated", 2)],
        *[pytest.param(*case, marks=pytest.mark.slow) for case in (("plain", 4), ("augmented", 2), ("mixed", 4))],
    ],
)
def test_the_shares_of_a_batch_are_the_batch(kind, count):
    whole, *shares = (batches_of(kind) for _ in range(count + 1))
    for index, share in enumerate(shares):
        share.take_share(index, count)
        assert len(share) == len(whole)
    try:
        for epoch in (0, 1):
            for batches in (whole, *shares):
                batches.epoch = epoch
            for step in range(2):
                parts = [share[step] for share in shares]
                assert all(len(pixels) == 8 // count for pixels, _ in parts)
                together = np.concatenate([rows(*part) for part in parts])
                np.testing.assert_allclose(together[np.lexsort(together.T)], rows(*whole[step]), atol=1e-4)
    finally:
        for batches in (whole, *shares):
            batches.close()


def test_a_batch_must_be_divisible():
    with pytest.raises(ValueError, match="batch of 8 images cannot be divided into 3 equal shares"):
        batches_of("plain").take_share(0, 3)
    with pytest.raises(ValueError, match=r"two and two are mixed.*multiple of 16"):
        batches_of("mixed").take_share(0, 8)
