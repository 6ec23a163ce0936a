"""What detection and segmentation share: batches of annotated images, augmented by the recipe's steps."""

from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_convnext.data import AnnotatedBatches, AnnotatedImages
from keras_convnext.models import backbone_of
from keras_convnext.preprocessing.augmentation import ImageFormat, augment_sample
from keras_convnext.training.dataset import check_batch_size

if TYPE_CHECKING:
    from keras_convnext.training.recipe import Recipe


def annotated_batches(
    recipe: "Recipe", model: keras.Model, images: AnnotatedImages, target: str, training: bool
) -> AnnotatedBatches:
    """Makes batches of annotated images.

    Args:
        recipe: the `Recipe`.
        model: the model that takes them. Augmentation fills with its mean.
        images: `data.AnnotatedImages`.
        target: `"boxes"` or `"label_map"`.
        training: whether the batches are for training: augmented, and in a new order each epoch.

    Raises:
        ValueError: a batch has more images than there are for training, the recipe has no image size, or one of its
            steps cannot move annotations.
    """
    if training:
        check_batch_size(recipe.batch_size, len(images))
    own_size = images.pixels.shape[1:3] if isinstance(images.pixels, np.ndarray) else None
    size = recipe.image_size or own_size
    if size is None:
        raise ValueError("`image_size` is needed to make batches of image files. Received: None")
    return AnnotatedBatches(
        images,
        max(1, min(recipe.batch_size, len(images)) // recipe.accumulate),
        size,
        target=target,
        transform=_augmentation(recipe, model, size) if training else None,
        shuffle=training,
        seed=recipe.seed,
        threads=recipe.workers,
        group=recipe.accumulate if training else 1,
    )


def _augmentation(recipe, model, size):
    """The function that augments a sample; None without augmentation."""
    if recipe.augmentation is None:
        return None
    on_batches = [type(step).__name__ for step in recipe.augmentation.steps if step.works_on == "batches"]
    if on_batches:
        raise ValueError(
            f"{', '.join(on_batches)} mixes images and is for classification. Give the recipe an `augmentation` "
            "without it."
        )
    backbone = backbone_of(model)
    form = ImageFormat(*size, 3, getattr(backbone, "mean", None), getattr(backbone, "std", None))
    steps = recipe.augmentation.for_images(form).steps
    return lambda sample, seed: augment_sample(sample, seed, steps)
