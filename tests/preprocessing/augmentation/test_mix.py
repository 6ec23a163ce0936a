"""MixUp and CutMix: images and labels, and how the weight is distributed."""

import numpy as np
import pytest
from scipy import stats

from keras_convnext.preprocessing.augmentation import MixUpOrCutMix


def mix(step, images, labels, number=0):
    """`(images, labels)` of a batch, mixed."""
    images = images.copy()
    return step.augment_batch(images, labels, step.generator((9, 0, number)))


@pytest.fixture(scope="module")
def mixed():
    """3000 batches of two images, a black one of class 0 and a white one of class 1: `(images, labels)`."""
    images = np.stack([np.zeros((32, 48, 3)), np.ones((32, 48, 3))]).astype("float32")
    found = [mix(MixUpOrCutMix(label_smoothing=0.0), images, np.eye(2), number) for number in range(3000)]
    return tuple(np.stack(part) for part in zip(*found, strict=True))


def test_labels_tell_how_much_of_each_image_there_is(mixed):
    images, labels = mixed
    np.testing.assert_allclose(labels[:, 0, 1], images[:, 0].mean(axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(labels[:, 1, 1], images[:, 1].mean(axis=(1, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-6)


def test_half_of_the_batches_are_cut(mixed):
    images, _ = mixed
    cut = ((images == 0) | (images == 1)).all(axis=(1, 2, 3, 4))
    assert stats.binomtest(int(cut.sum()), len(cut), 0.5).pvalue > 1e-3


def test_the_weight_of_mixup_is_beta(mixed):
    images, labels = mixed
    blended = ~((images == 0) | (images == 1)).all(axis=(1, 2, 3, 4))
    assert stats.kstest(labels[blended, 0, 0], stats.beta(0.8, 0.8).cdf).pvalue > 1e-3
    assert labels[blended, 0, 0].mean() == pytest.approx(0.5, abs=0.03)


def test_rectangles_of_cutmix_are_distributed_as_timms(mixed, timm_data):
    images, labels = mixed
    cut = ((images == 0) | (images == 1)).all(axis=(1, 2, 3, 4))
    np.random.seed(0)
    mixup = timm_data.mixup.Mixup(0.0, 1.0, label_smoothing=0.0, num_classes=2)
    theirs, weights = [], []
    for _ in range(4000):
        (top, bottom, left, right), weight = timm_data.mixup.cutmix_bbox_and_lam(
            (2, 3, 32, 48), mixup._params_per_batch()[0]
        )
        weights.append(weight)
        if bottom > top and right > left:
            theirs.append((top, left, bottom - top, right - left))
    assert stats.ks_2samp(labels[cut, 0, 0], weights).pvalue > 1e-3
    ours = []
    for found in images[cut, 0, :, :, 0] == 1:
        rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
        assert found.sum() == len(rows) * len(columns)
        if len(rows):
            ours.append((rows[0], columns[0], len(rows), len(columns)))
    for mine, timms in zip(np.transpose(ours), np.transpose(theirs), strict=True):
        assert stats.ks_2samp(mine, timms).pvalue > 1e-3


@pytest.mark.parametrize("step", [MixUpOrCutMix(0.8, 0.0), MixUpOrCutMix(0.0, 1.0), MixUpOrCutMix()])
def test_labels_equal_timms_for_the_same_weight(timm_data, rng, step):
    import torch

    labels = np.array([3, 1, 0, 3])
    images = rng.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    _, mixed = mix(step, images, np.eye(5)[labels], number=1)
    smoothed = np.eye(5)[labels] * 0.9 + 0.02
    difference = smoothed - smoothed[::-1]
    weight = ((mixed - smoothed[::-1]) * difference).sum() / (difference**2).sum()
    expected = timm_data.mixup.mixup_target(torch.tensor(labels), 5, float(weight), 0.1)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_without_either_only_labels_are_smoothed(rng):
    images = rng.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    mixed, labels = mix(MixUpOrCutMix(0.0, 0.0), images, np.eye(4))
    np.testing.assert_array_equal(mixed, images)
    np.testing.assert_allclose(labels, np.eye(4) * 0.9 + 0.025, atol=1e-7)


@pytest.mark.parametrize("step", [MixUpOrCutMix(0.8, 0.0), MixUpOrCutMix(0.0, 1.0)])
def test_the_middle_one_of_an_odd_batch_stays(rng, step):
    images = rng.uniform(0, 255, (5, 8, 8, 3)).astype("float32")
    mixed, _ = mix(step, images, np.eye(5))
    np.testing.assert_array_equal(mixed[2], images[2])
    assert (mixed[[0, 4]] != images[[0, 4]]).any()
