"""Steps: how they draw random numbers, and how images go through several of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from keras_convnext.preprocessing.augmentation import (
    ArrayStep,
    ImageStep,
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    augment_image,
)
from keras_convnext.preprocessing.augmentation.pipeline import with_generators


@dataclass(frozen=True)
class Invert(ImageStep):
    def augment_image(self, image, generator):
        return Image.eval(image, lambda value: 255 - value)


@dataclass(frozen=True)
class Shift(ArrayStep):
    amount: float = 0.5

    def augment_array(self, pixels, generator):
        return pixels + self.amount


@dataclass(frozen=True)
class InPlace(ArrayStep):
    def augment_array(self, pixels, generator):
        pixels += 1
        return pixels


ALL = [RandomResizedCrop(32, 32), RandomFlip(), RandAugment(), RandomErasing(), MixUpOrCutMix(), Invert(), Shift()]


def test_steps_draw_independently():
    draws = np.array([[step.generator((0, 0, number)).random() for step in ALL] for number in range(500)])
    for shifted in (draws, np.roll(draws, 1, axis=0)):
        correlation = np.corrcoef(draws.T, shifted.T)[: len(ALL), len(ALL) :]
        assert np.abs(correlation - np.eye(len(ALL)) * (shifted is draws)).max() < 0.2


def test_steps_of_one_class_draw_independently():
    pairs = with_generators([RandomFlip(), Invert(), RandomFlip(), Invert()], (3, 2, 1))
    assert [step for step, _ in pairs] == [RandomFlip(), Invert(), RandomFlip(), Invert()]
    assert len({generator.random() for _, generator in pairs}) == 4
    assert with_generators([RandomFlip()], (3, 2, 1))[0][1].random() == RandomFlip().generator((3, 2, 1)).random()


@pytest.mark.parametrize("place", range(3))
def test_every_step_depends_on_the_seed_the_epoch_and_the_index(place):
    for step in ALL:
        draws = set()
        for number in (0, 1, 2**31, 2**32, 2**33):
            seed = np.zeros(3, "int64")
            seed[place] = number
            draws.add(step.generator(seed).random())
        assert len(draws) == 5, type(step).__name__


def test_images_go_through_the_steps_in_order():
    image = Image.fromarray(np.arange(12, dtype="uint8").reshape(3, 4))
    inverted = 255 - np.asarray(image)[..., None]
    np.testing.assert_array_equal(augment_image(image, (0, 0, 0), [Invert()]), inverted)
    found = augment_image(image, (0, 0, 0), [Invert(), Shift(), Shift(1.0)])
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, inverted + 1.5)


def test_what_no_step_on_arrays_changed_stays_uint8():
    image = Image.fromarray(np.zeros((3, 4), "uint8"))
    assert augment_image(image, (0, 0, 0), [Invert(), RandomErasing(0.0)]).dtype == "uint8"


def test_a_step_on_arrays_cannot_change_its_input():
    image = Image.fromarray(np.zeros((3, 4), "uint8"))
    for steps in ([InPlace()], [Shift(), InPlace()]):
        with pytest.raises(ValueError, match="read-only"):
            augment_image(image, (0, 0, 0), steps)


def test_a_crop_by_itself_needs_a_size():
    with pytest.raises(ValueError, match="RandomResizedCrop needs `height` and `width`"):
        augment_image(Image.fromarray(np.zeros((3, 4), "uint8")), (0, 0, 0), [RandomResizedCrop()])


@pytest.mark.parametrize(
    "make, changes",
    [
        (RandomFlip, {"probability": 1.5}),
        (RandomResizedCrop, {"scale": (0.5, 1.5)}),
        (RandomResizedCrop, {"scale": (0.5, 0.1)}),
        (RandomResizedCrop, {"ratio": (0.0, 1.0)}),
        (RandomResizedCrop, {"height": 0}),
        (RandomResizedCrop, {"interpolation": "nearest"}),
        (RandAugment, {"magnitude": 90.0}),
        (RandAugment, {"count": -1}),
        (RandomErasing, {"area": (0.5, 2.0)}),
        (MixUpOrCutMix, {"mixup": -1.0}),
        (MixUpOrCutMix, {"cutmix": 0.01}),
        (MixUpOrCutMix, {"label_smoothing": 1.0}),
    ],
)
def test_refuses_settings_out_of_range(make, changes):
    (name,) = changes
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make(**changes)
