"""RandAugment: each operation against timm's, to the bit, and how often and how strongly each is drawn."""

import random

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from keras_convnext.preprocessing.augmentation import RandAugment, augment_image, to_pil
from keras_convnext.preprocessing.augmentation.rand_augment_operations import OPERATIONS

TIMM = {
    "Posterize": "PosterizeIncreasing",
    "Solarize": "SolarizeIncreasing",
    "Color": "ColorIncreasing",
    "Contrast": "ContrastIncreasing",
    "Brightness": "BrightnessIncreasing",
    "Sharpness": "SharpnessIncreasing",
    "TranslateX": "TranslateXRel",
    "TranslateY": "TranslateYRel",
}
FILL = (124, 116, 104)


@pytest.fixture
def auto_augment(timm_data):
    from timm.data import auto_augment

    return auto_augment


def test_the_operations_are_those_of_the_increasing_list(auto_augment):
    transform = auto_augment.rand_augment_transform("rand-m9-mstd0.5-inc1", {"img_mean": FILL})
    assert [operation.name for operation in transform.ops] == [TIMM.get(name, name) for name in OPERATIONS]
    step = RandAugment()
    for operation in transform.ops:
        assert (operation.magnitude, operation.magnitude_std, operation.prob) == (
            step.magnitude,
            step.magnitude_std,
            step.probability,
        )
    assert transform.num_layers == step.count


@pytest.mark.parametrize("level", [0.0, 3.3, 8.1, 9.0, 9.9])
@pytest.mark.parametrize(
    ("name", "sign"), [(name, sign) for name in OPERATIONS for sign in (1, -1)[: 1 + OPERATIONS[name].signed]]
)
def test_each_operation_equals_timms(auto_augment, photographs, monkeypatch, name, level, sign):
    hparams = {"img_mean": FILL, "interpolation": Image.Resampling.BICUBIC}
    theirs = auto_augment.AugmentOp(TIMM.get(name, name), prob=1.0, magnitude=level, hparams=hparams)
    monkeypatch.setattr(random, "random", lambda: 0.9 if sign < 0 else 0.1)  # of timm: above a half is negative
    operation = OPERATIONS[name]
    for photograph in photographs[6:]:
        amount = operation.amount(sign * level / 10)
        found = operation.apply(photograph, amount, FILL)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(theirs(photograph)))


def test_the_greatest_magnitude_posterizes_to_black(photographs):
    """As Pillow did when the authors trained; today it refuses to keep no bits."""
    operation = OPERATIONS["Posterize"]
    assert operation.amount(1.0) == 0
    assert not np.asarray(operation.apply(photographs[-1], 0, FILL)).any()


@pytest.fixture(scope="module")
def sampled():
    """What the step does to 20000 images."""
    step = RandAugment()
    return [step.sample(np.random.default_rng(seed)) for seed in range(20_000)]


def test_each_operation_is_sampled_as_often(sampled):
    counts = [sum(name == other for image in sampled for other, _ in image) for name in OPERATIONS]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_what_has_no_sign_gets_none(sampled):
    amounts = [amount for image in sampled for name, amount in image if not OPERATIONS[name].signed]
    assert all(amount is None or amount >= 0 for amount in amounts)


def test_how_many_are_applied(sampled):
    """Two, each half of the time."""
    counts = np.bincount([len(image) for image in sampled], minlength=3)
    assert stats.chisquare(counts, np.array([0.25, 0.5, 0.25]) * len(sampled)).pvalue > 1e-3


def test_the_magnitude_is_normal_and_cut(sampled):
    degrees = np.array([amount for image in sampled for name, amount in image if name == "Rotate"])
    magnitudes = np.abs(degrees) / 3
    assert len(magnitudes) > 1000
    assert 0.45 < (degrees > 0).mean() < 0.55
    assert magnitudes.max() == 10
    assert (magnitudes == 10).mean() == pytest.approx(stats.norm.sf(2), abs=0.01)
    below = magnitudes[magnitudes < 10]
    expected = stats.truncnorm(-18, 2, loc=9, scale=0.5)
    assert stats.kstest(below, expected.cdf).pvalue > 1e-3


def test_an_image_is_changed_as_sampled(photographs):
    step = RandAugment(probability=1.0, count=1)
    seen = set()
    for number in range(40):
        found = augment_image(photographs[-1], (7, 0, number), [step])
        ((name, amount),) = step.sample(step.generator((7, 0, number)))
        expected = OPERATIONS[name].apply(photographs[-1], amount, FILL)
        np.testing.assert_array_equal(found, np.asarray(expected))
        seen.add(name)
    assert len(seen) > 8


def test_grey_images_are_taken(photographs):
    grey = np.asarray(photographs[-1])[..., :1]
    step = RandAugment(probability=1.0, count=1)
    found = [augment_image(to_pil(grey), (0, 0, number), [step]) for number in range(60)]
    assert {image.shape for image in found} == {grey.shape}
    assert sum((image != grey).any() for image in found) > 40
