"""The batches that a recipe asks for; `Recipe.dataset` calls `make_dataset`."""

from typing import TYPE_CHECKING, Any

from keras_convnext.data import AugmentedBatches, Batches, Images
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.training.keras_cv_engine import make_keras_cv_dataset

if TYPE_CHECKING:
    from keras_convnext.training.recipe import Recipe


ENGINES = ("processes", "keras_cv")
"""What augments the training images: processes beside the training, or keras-cv layers in a tf.data graph."""


def make_dataset(
    recipe: "Recipe",
    images: Images,
    training: bool,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    engine: str = "processes",
) -> Any:
    """Batches of images for `fit`, `evaluate` or `predict`; see `Recipe.dataset`."""
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}. Received: engine={engine!r}")
    if training:
        of_a_recipe = f". For a recipe with `min_updates`, `for_data_size(recipe, {len(images)})` finds one"
        check_batch_size(recipe.batch_size, len(images), of_a_recipe)
    batch_size = max(1, min(recipe.batch_size, len(images)) // recipe.accumulate)
    own_size = None if images.are_files else images.pixels.shape[1:3]
    size = recipe.image_size or own_size
    if training and isinstance(recipe.augmentation, Augmentation):
        if size is None:
            raise ValueError("`image_size` is needed to make batches of image files. Received: None")
        if engine == "keras_cv":
            return make_keras_cv_dataset(recipe, recipe.augmentation, images, size, mean, std)
        return AugmentedBatches(
            images,
            size,
            recipe.augmentation,
            batch_size,
            label_smoothing=recipe.label_smoothing,
            seed=recipe.seed,
            workers=recipe.workers,
            mean=mean,
            std=std,
            group=recipe.accumulate,
        )
    transform = None if recipe.image_size in (None, own_size) else ResizeAndCrop(*recipe.image_size)
    group = recipe.accumulate if training else 1
    return Batches(images, batch_size, transform, training, recipe.seed, recipe.workers, group=group)


def check_batch_size(batch_size: int, training_images: int, otherwise: str = "") -> None:
    """Refuses a batch that has more images than there are for training.

    Args:
        batch_size: images per update.
        training_images: number of images, without those for validation.
        otherwise: what the caller may do instead of giving a smaller batch. Defaults to nothing.

    Raises:
        ValueError: there are fewer images than a batch has.
    """
    if training_images < batch_size:
        raise ValueError(
            f"The batch of {batch_size} images is larger than the {training_images} training images, so that the "
            f"weights would never be updated. Give a `batch_size` of {training_images} or less{otherwise}."
        )
