"""Batch and epochs by the number of training images."""

from dataclasses import replace

import numpy as np
import pytest

from keras_convnext import RECIPES, Experiment
from keras_convnext.data import ImageData
from keras_convnext.training import explain_data_size, for_data_size
from keras_convnext.training.data_size import check_classes, check_warmup, explain_average

OWN = [name for name, recipe in RECIPES.items() if recipe.min_updates is not None]
PUBLISHED = [name for name in RECIPES if name not in OWN]


def test_ours_alone_follow_the_data():
    images = ["small_images", "fine_tune", "linear_probe", "digits", "from_scratch"]
    annotated = ["detection", "segmentation", "detection_digit_scenes", "segmentation_digit_scenes"]
    assert sorted(OWN) == sorted([*images, *annotated])


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("count", [1, 146, 1_281_167])
def test_a_published_recipe_is_left_alone(name, count):
    assert for_data_size(RECIPES[name], count) is RECIPES[name]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("count", [2, 7, 8, 27, 90, 146, 450, 1295, 1800, 45_000])
def test_there_are_updates_enough(name, count):
    recipe, chosen = RECIPES[name], for_data_size(RECIPES[name], count)
    updates = count // chosen.batch_size
    assert updates >= 1
    assert updates >= 8 or chosen.batch_size <= 8
    assert chosen.epochs * updates >= recipe.min_updates
    assert chosen.epochs >= recipe.epochs
    assert (chosen.epochs - 1) * updates < recipe.min_updates or chosen.epochs == recipe.epochs
    assert chosen.learning_rate == pytest.approx(recipe.learning_rate * chosen.batch_size / recipe.batch_size)
    assert chosen.warmup_epochs / chosen.epochs == pytest.approx(recipe.warmup_epochs / recipe.epochs)


@pytest.mark.parametrize("name", OWN)
def test_many_images_keep_the_recipe(name):
    assert for_data_size(RECIPES[name], 45_000) == RECIPES[name]


def test_the_digits_keep_theirs():
    assert for_data_size(RECIPES["digits"], 1295) == RECIPES["digits"]


def test_what_is_to_be_kept_stays():
    recipe = RECIPES["small_images"]
    assert for_data_size(recipe, 146, keep=("batch_size", "epochs")) == recipe
    assert for_data_size(recipe, 146, keep=("batch_size",)).batch_size == 64
    assert for_data_size(recipe, 146, keep=("epochs",)).epochs == 28
    assert for_data_size(recipe, 146, keep=("epochs",)).batch_size == 16


@pytest.mark.parametrize(("accumulate", "batch_size"), [(1, 16), (8, 16), (16, 16), (32, 32), (64, 64)])
def test_accumulated_parts_divide_the_batch(accumulate, batch_size):
    assert for_data_size(replace(RECIPES["small_images"], accumulate=accumulate), 146).batch_size == batch_size


def test_a_batch_larger_than_the_images_is_left_to_be_refused():
    recipe = for_data_size(RECIPES["small_images"], 5, keep=("batch_size",))
    assert (recipe.batch_size, recipe.epochs) == (64, 28)
    with pytest.raises(ValueError, match="The batch of 64 images is larger than the 5 training images"):
        recipe.dataset(_images([0, 1, 0, 1, 0]))


def test_the_explanation_says_what_was_chosen_alone():
    recipe = RECIPES["small_images"]
    assert explain_data_size(recipe, recipe, 45_000) is None
    epochs_kept = for_data_size(recipe, 146, keep=("epochs",))
    assert explain_data_size(recipe, epochs_kept, 146) == (
        "146 training images: batches of 16 (64 would give 2 updates per epoch), 28 epochs"
    )
    assert explain_data_size(recipe, recipe, 146) == (
        "146 training images in batches of 64 give 2 updates of the weights per epoch, 56 in all: "
        "a smaller batch gives more"
    )


def _images(labels):
    from keras_convnext.data import Images

    return Images(np.zeros((len(labels), 8, 8, 3), "uint8"), np.array(labels), ("a", "b", "c"))


def test_a_class_with_one_image_is_refused_where_validation_images_are_drawn():
    train = _images([0, 0, 1, 2, 2])
    with pytest.raises(ValueError, match="1 class with one image: 'b'"):
        check_classes(ImageData(train))
    check_classes(ImageData(train, validation=train))
    check_classes(ImageData(_images([0, 0, 1, 1, 2, 2])))


def test_a_warmup_longer_than_the_training_is_refused():
    recipe = replace(RECIPES["digits"], epochs=2)
    with pytest.raises(ValueError, match="`warmup_epochs` must be no more than the 2 epochs"):
        check_warmup(recipe)


@pytest.mark.parametrize(
    ("name", "changes", "images", "explained"),
    [
        ("in1k_from_scratch", {}, 1_281_167, False),
        ("in1k_from_scratch", {"batch_size": 8, "epochs": 2}, 42, True),
        ("in1k_from_scratch", {"batch_size": 8, "epochs": 2, "ema": None}, 42, False),
        ("in1k_from_scratch", {"batch_size": 8, "epochs": 2, "ema_warmup": True}, 42, False),
        ("small_images", {"ema": 0.99}, 1280, False),
    ],
)
def test_a_moving_average_that_is_longer_than_the_training_is_explained(name, changes, images, explained):
    line = explain_average(replace(RECIPES[name], **changes), images)
    assert (line is not None) == explained
    if explained:
        assert "(ema=0.9999)" in line
        assert "this training has 10" in line


def test_an_experiment_tells_it(tmp_path):
    settings = {"data": "digits", "variant": "convnext_mini", "output": tmp_path / "run", "epochs": 1}
    (note,) = Experiment(recipe={"base": "digits", "ema": 0.999}, batch_size=64, **settings).build().notes
    assert "ema=0.999" in note
    assert Experiment(recipe="digits", batch_size=64, **settings).build().notes == ()
