"""Augmentation as a list of steps: its order, its configuration, and the short names of its settings."""

import json
from dataclasses import dataclass, replace

import keras
import pytest

from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation import (
    ArrayStep,
    ImageFormat,
    ImageStep,
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
)

PAPER = (RandomResizedCrop(), RandomFlip(), RandAugment(), RandomErasing(), MixUpOrCutMix())


@keras.saving.register_keras_serializable(package="test_augmentation")
@dataclass(frozen=True)
class OnImages(ImageStep):
    sizes: tuple[int, ...] = (1, 2)

    def augment_image(self, image, generator):
        return image


@dataclass(frozen=True)
class OnArrays(ArrayStep):
    strength: float = 1.0

    def augment_array(self, pixels, generator):
        return pixels


def test_the_papers_steps_by_default():
    assert Augmentation().steps == PAPER
    assert Augmentation() == Augmentation(PAPER)
    assert hash(Augmentation()) == hash(Augmentation(list(PAPER)))


@pytest.mark.parametrize(
    "changes, steps",
    [
        ({"mixup": 0.0, "cutmix": 0.0}, PAPER[:4]),
        ({"mixup": 0.0}, (*PAPER[:4], MixUpOrCutMix(mixup=0.0))),
        ({"flip_probability": 0.0, "rand_augment": 0.0, "erasing_probability": 0.0}, (PAPER[0], PAPER[4])),
        ({"scale": (0.5, 1.0), "ratio": [1, 2]}, (RandomResizedCrop(scale=(0.5, 1.0), ratio=(1, 2)), *PAPER[1:])),
    ],
)
def test_short_names_change_the_papers_steps(changes, steps):
    found = Augmentation(**changes)
    assert found.steps == steps
    for name, value in changes.items():
        assert getattr(found, name) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    "steps, changes, expected",
    [
        ([RandomFlip()], {"mixup": 0.2}, [RandomFlip(), MixUpOrCutMix(mixup=0.2, cutmix=0.0)]),
        ([RandomFlip(), OnImages()], {"rand_augment": 5}, [RandomFlip(), RandAugment(5), OnImages()]),
        ([OnImages(), OnArrays()], {"erasing_probability": 0.5}, [OnImages(), RandomErasing(0.5), OnArrays()]),
        (
            [OnArrays(), MixUpOrCutMix()],
            {"scale": (0.5, 1)},
            [RandomResizedCrop(scale=(0.5, 1)), *[OnArrays(), PAPER[4]]],
        ),
        ([RandomErasing(0.1), RandomErasing(0.2)], {"erasing_probability": 0.5}, [RandomErasing(0.5)] * 2),
        ([OnImages()], {"flip_probability": 0.0}, [OnImages()]),
    ],
)
def test_missing_steps_are_added_at_their_place(steps, changes, expected):
    assert replace(Augmentation(steps), **changes).steps == tuple(expected)


def test_settings_of_steps_that_are_missing():
    found = Augmentation([OnImages()])
    assert (found.scale, found.flip_probability, found.mixup) == (None, 0.0, 0.0)


@pytest.mark.parametrize("steps", [PAPER, [RandomFlip(0.25), OnImages((3,))], []])
def test_configuration_survives_json(steps):
    augmentation = Augmentation(steps)
    assert Augmentation.from_config(json.loads(json.dumps(augmentation.get_config()))) == augmentation


def test_names_of_version_0_2_0():
    settings = {"flip_rate": 0.25, "erasing_rate": 0.0}
    assert Augmentation.from_config(settings) == Augmentation(flip_probability=0.25, erasing_probability=0.0)
    steps = [{"class": "RandomFlip", "rate": 0.25}, {"class": "MixUpOrCutMix", "switch_rate": 0.25}]
    assert Augmentation.from_config(steps).steps == (RandomFlip(0.25), MixUpOrCutMix(switch_probability=0.25))


@pytest.mark.parametrize(
    "config, message",
    [
        ([{"class": "Nothing"}], r"No such step: 'Nothing'\. Expected one of MixUpOrCutMix, .*RandomFlip.*imported"),
        ([{"class": "RandomFlip", "rates": 1}], r"No such setting: rates\. RandomFlip has probability"),
        ([{"probability": 1}], "Expected a dict such as"),
        ({"mix": 1}, r"No such setting: mix\. Augmentation has .*mixup"),
    ],
)
def test_refuses_configurations(config, message):
    with pytest.raises(ValueError, match=message):
        Augmentation.from_config(config)


@pytest.mark.parametrize(
    "steps, message",
    [
        ([RandomErasing(), RandomFlip()], r"RandomErasing \(on arrays\) before RandomFlip \(on images\)"),
        ([MixUpOrCutMix(), RandomErasing()], "Steps on images must come first"),
        ([RandomFlip(), 3], "Expected a step that derives from ImageStep, ArrayStep or BatchStep. Received: 3"),
        ([RandomFlip], r"received its class: write `RandomFlip\(\)`"),
        (RandomFlip(), "`steps` must be a sequence of steps"),
        ((0.5, 1.0), "Expected a step that derives from .* Received: 0.5"),
    ],
)
def test_refuses_what_is_no_list_of_steps(steps, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(steps)


def test_refuses_to_save_a_step_that_cannot_be_found_again():
    with pytest.raises(ValueError, match=r"OnArrays cannot be saved .*register_keras_serializable"):
        Augmentation([OnArrays()]).get_config()


def test_what_depends_on_the_images_is_filled_in():
    images = ImageFormat(24, 20, 1, mean=(0.5,), std=(0.25,))
    crop, _, rand_augment, erasing, mix = Augmentation().for_images(images).steps
    assert (crop.height, crop.width) == (24, 20)
    assert rand_augment.fill == (128, 128, 128)
    assert (erasing.mean, erasing.std) == ((0.5,), (0.25,))
    assert mix.label_smoothing == 0  # the batches smooth labels
    given = [RandAugment(fill=(1, 2, 3)), RandomErasing(mean=(0.0,), std=(1.0,)), MixUpOrCutMix(label_smoothing=0.3)]
    assert Augmentation(given).for_images(images).steps == tuple(given)


@pytest.mark.parametrize(
    "changes",
    [
        {"flip_probability": 1.5},
        {"erasing_probability": -0.1},
        {"scale": (0.5, 0.1)},
        {"scale": (0.5, 1.5)},
        {"ratio": (0.0, 1.0)},
        {"rand_augment": 90.0},
        {"mixup": -1.0},
        {"cutmix": 0.01},
    ],
)
def test_refuses_settings_out_of_range(changes):
    with pytest.raises(ValueError, match=f"^`{next(iter(changes))}` must be"):
        Augmentation(**changes)
